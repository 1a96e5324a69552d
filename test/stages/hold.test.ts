// A claimed job: the heartbeat, writes whose answers are lost, and who is told that the claim is gone.

import { expect, it } from 'vitest'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { BackupError, hasCode } from '../../lib/base/errors.ts'
import type { Job } from '../../lib/model/job.ts'
import type { JobStore } from '../../lib/ports/job-store.ts'
import { holdJob, type JobHold } from '../../lib/stages/hold.ts'
import { sampleJob } from '../kit/record-samples.ts'
import type { Process } from './chaos.ts'
import { cancel, newWorld } from './world.ts'

/** A held job whose store's writes can be made to fail; `jobs.replace` calls are numbered from 1. */
async function heldJob(
  onReplace: (call: number, write: () => Promise<unknown>) => Promise<void> = async (_, write) => void (await write()),
) {
  const world = await newWorld()
  const process: Process = { name: 'test', stop: new AbortController(), dead: false, onDeath: () => undefined }
  const inner = memoryJobStore()
  let calls = 0
  const jobStore: JobStore = {
    ...inner,
    jobs: {
      ...inner.jobs,
      replace: async (id, next, options) => {
        let answer: 'replaced' | 'conflict' = 'conflict'
        await onReplace(++calls, async () => {
          answer = await inner.jobs.replace(id, next, options)
        })
        return answer
      },
    },
  }
  const clock = manualClock()
  const job = sampleJob({ claim: null })
  await inner.jobs.create(job.id, job, cancel)
  const deps = { ...world.depsOf(process), clock, jobStore }
  const found = await inner.jobs.get(job.id, cancel)
  if (found === null) throw new Error('the job was created')
  const hold = await holdJob(found, deps, { invocation: 'me', stage: 'prepare', ...cancel })
  if (hold === null) throw new Error('the job is free')
  const read = async (): Promise<Job> => (await inner.jobs.get(job.id, cancel))?.value ?? job
  return { hold, clock, inner, job, read, claimMs: world.limits.claimMs, deps, found }
}

const unreachable = () => new BackupError('Cannot reach the store', { code: 'store-away', retry: 'later' })

async function beats(clock: ReturnType<typeof manualClock>, claimMs: number, count: number): Promise<void> {
  for (let beat = 0; beat < count; beat++) {
    clock.advance(claimMs / 3)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function end(hold: JobHold): Promise<void> {
  hold.stop()
  await hold.update((job) => ({ ...job, claim: null }), cancel)
}

it('the heartbeat keeps a claim alive for as long as the stage works', async () => {
  const { hold, clock, claimMs, read } = await heldJob()
  await beats(clock, claimMs, 10)
  expect((await read()).claim?.untilMs).toBeGreaterThan(clock.nowMs())
  expect(hold.signal.aborted).toBe(false)
  await end(hold)
  expect((await read()).claim).toBeNull()
})

it('a job that is worked on is not overdue, so that watch sees those that are', async () => {
  const { hold, clock, claimMs, inner } = await heldJob()
  for (let beat = 0; beat < 20; beat++) {
    await beats(clock, claimMs, 1)
    expect(await inner.dueJobs({ beforeMs: clock.nowMs(), limit: 10 }, cancel)).toEqual([])
  }
  hold.stop()
  clock.advance(claimMs)
  expect(await inner.dueJobs({ beforeMs: clock.nowMs(), limit: 10 }, cancel)).toHaveLength(1)
})

it('a heartbeat that is due when the stage ends does not claim the job again', async () => {
  const { hold, clock, claimMs, read } = await heldJob()
  clock.advance(claimMs / 3)
  await end(hold)
  await beats(clock, claimMs, 2)
  expect((await read()).claim).toBeNull()
})

it('a heartbeat that fails once is followed by the next', async () => {
  const { hold, clock, claimMs, read } = await heldJob(async (call, write) => {
    if (call === 2) throw unreachable()
    await write()
  })
  await beats(clock, claimMs, 10)
  expect((await read()).claim?.untilMs).toBeGreaterThan(clock.nowMs())
  await end(hold)
})

it('a write that took effect without an answer does not cost the claim', async () => {
  for (const lost of [2, 3, 4]) {
    const { hold, clock, claimMs, read } = await heldJob(async (call, write) => {
      await write()
      if (call === lost) throw unreachable()
    })
    await beats(clock, claimMs, 5)
    expect(hold.signal.aborted).toBe(false)
    await end(hold)
    expect((await read()).claim).toBeNull()
  }
})

it('a claim that took effect and was answered as a conflict is held all the same', async () => {
  const { hold } = await heldJob(async (call, write) => {
    await write()
    if (call === 1) await write()
  })
  expect(hold.job().claim?.invocation).toBe('me')
  hold.stop()
})

it('a last write that a retrying client repeated counts as written', async () => {
  const { hold, read } = await heldJob(async (call, write) => {
    await write()
    if (call === 2) await write()
  })
  await end(hold)
  expect((await read()).claim).toBeNull()
})

it('whoever was taken over is told by the signal and cannot write', async () => {
  const { hold, clock, claimMs, inner, job, deps } = await heldJob(async (call, write) => {
    if (call === 2) clock.advance(2 * claimMs)
    await write()
  })
  clock.advance(0)
  const found = await inner.jobs.get(job.id, cancel)
  if (found === null) throw new Error('the job is there')
  const other = await holdJob(found, { ...deps, jobStore: inner }, { invocation: 'other', stage: 'prepare', ...cancel })
  expect(other).not.toBeNull()
  await expect(hold.update((each) => each, cancel)).rejects.toSatisfy((error) => hasCode(error, 'claim-lost'))
  expect(hold.signal.aborted).toBe(true)
  hold.stop()
  other?.stop()
})

it('a stage that could not renew its claim for its whole time is told to stop', async () => {
  const { hold, clock, claimMs } = await heldJob(async (call, write) => {
    if (call > 1) throw unreachable()
    await write()
  })
  await beats(clock, claimMs, 2)
  expect(hold.signal.aborted).toBe(false)
  await beats(clock, claimMs, 2)
  expect(hold.signal.aborted).toBe(true)
  hold.stop()
})
