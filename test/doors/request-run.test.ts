// The on-demand door: one run a key, whatever fails on the way.

import { expect, it } from 'vitest'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryQueue } from '../../lib/adapters/memory/queue.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { requestRun } from '../../lib/doors/request-run.ts'
import { defaultPolicy } from '../../lib/model/policy.ts'

const cancel = { signal: new AbortController().signal }

function door() {
  const clock = manualClock()
  const jobStore = memoryJobStore()
  const sender = memoryQueue({ clock, receivesMax: 5 })
  return { clock, jobStore, sender }
}

const asked = { door: 'api', policy: defaultPolicy(), vms: ['db-1'], key: 'morning' } as const

it('a request writes its run and wakes plan', async () => {
  const deps = door()
  const id = await requestRun(asked, deps, cancel)
  expect((await deps.jobStore.runs.get(id, cancel))?.value).toMatchObject({
    id,
    door: 'api',
    vms: ['db-1'],
    state: 'requested',
    jobIds: [],
    refusal: null,
  })
  const [delivery] = await deps.sender.receive('plan', { max: 10, visibilityMs: 1_000 }, cancel)
  expect(delivery?.message).toEqual({ v: 1, kind: 'plan', runId: id })
})

it('the same key of the same policy is the same run, which keeps how far it has come', async () => {
  const deps = door()
  const id = await requestRun(asked, deps, cancel)
  const found = await deps.jobStore.runs.get(id, cancel)
  if (found === null) throw new Error('the run was written')
  await deps.jobStore.runs.replace(id, { value: { ...found.value, state: 'planned' }, version: 1 }, cancel)
  expect(await requestRun({ ...asked, vms: null }, deps, cancel)).toBe(id)
  expect((await deps.jobStore.runs.get(id, cancel))?.value.state).toBe('planned')
  expect(await requestRun({ ...asked, key: 'evening' }, deps, cancel)).not.toBe(id)
})

it('a request that fails on the way says so, and repeated gives the same run', async () => {
  for (const broken of ['create', 'send'] as const) {
    const deps = door()
    let fails = true
    const failOnce = () => {
      if (!fails) return
      fails = false
      throw new BackupError('Cannot reach it', { code: 'away', retry: 'later' })
    }
    const { runs } = deps.jobStore
    const jobStore = {
      ...deps.jobStore,
      runs: {
        ...runs,
        create: async (...args: Parameters<typeof runs.create>) => {
          const answer = await runs.create(...args)
          if (broken === 'create') failOnce()
          return answer
        },
      },
    }
    const sender = {
      send: async (...args: Parameters<typeof deps.sender.send>) => {
        if (broken === 'send') failOnce()
        await deps.sender.send(...args)
      },
    }
    await expect(requestRun(asked, { ...deps, jobStore, sender }, cancel)).rejects.toThrow('Cannot reach it')
    const id = await requestRun(asked, { ...deps, jobStore, sender }, cancel)
    expect(await deps.jobStore.recentRuns({ limit: 10 }, cancel)).toHaveLength(1)
    expect(
      (await deps.sender.receive('plan', { max: 10, visibilityMs: 1_000 }, cancel)).map(({ message }) => message),
    ).toEqual([{ v: 1, kind: 'plan', runId: id }])
  }
})
