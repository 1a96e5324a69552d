// Cancelling: whenever it comes, a backup either ends as cancelled with nothing of ours left, or with its point whole.

import { describe, expect, it } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import { cancelJob, cancelRun } from '../../lib/doors/cancel.ts'
import type { Job, JobState } from '../../lib/model/job.ts'
import { allPoints, backUpOne, expectRest, ourSnapshots, request } from './backups.ts'
import type { Process } from './chaos.ts'
import { isOver, jobsOf, newEngine, runOf, turn, turnFor, turnUntil } from './engine.ts'
import { addVm, cancel, newWorld, type World } from './world.ts'

const door = (): Process => ({ name: 'door', stop: new AbortController(), dead: false, onDeath: () => undefined })

const call = (world: World) => ({ deps: world.depsOf(door()), cancel })

async function worldWithVm(seed = 1) {
  const world = await newWorld({ seed, visibilityMs: 10_000 })
  const vm = addVm(world, { diskBytes: [192 * KiB] })
  return { world, vm, engine: newEngine(world) }
}

const only = ([job]: readonly Job[]): Job => {
  if (job === undefined) throw new Error('the run has a job')
  return job
}

describe('a job that is cancelled', () => {
  const states: readonly JobState[] = ['waiting', 'capturing', 'captured', 'transferring']
  it.each(states)('while it is %s gives back everything and ends as cancelled', async (state) => {
    const { world, vm, engine } = await worldWithVm()
    const held = Promise.withResolvers<void>()
    if (state === 'transferring') world.beforeMove = () => held.promise
    const id = await request(world)
    await turnUntil(engine, async () => (await jobsOf(world, id))[0]?.state === state, 3_600_000)
    const job = only(await jobsOf(world, id))
    expect((await cancelJob(job.id, call(world))).cancelRequestedAt).not.toBe(null)
    held.resolve()
    await turnUntil(engine, () => isOver(world, id))
    const ended = only(await jobsOf(world, id))
    expect(ended.outcome).toMatchObject({ kind: 'failed', code: 'cancelled' })
    expect(ended.owes).toEqual([])
    expect(ourSnapshots(vm)).toEqual([])
    expect(await allPoints(world)).toEqual([])
    await expectRest(engine)
    world.beforeMove = async () => undefined
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
  })

  it('at any moment ends as cancelled without a point, or with its point', async () => {
    const ends = new Set<string>()
    for (let turns = 1; turns <= 40; turns += 2) {
      const { world, vm, engine } = await worldWithVm(turns)
      const id = await request(world)
      for (let count = 0; count < turns; count++) await turn(engine)
      const [job] = await jobsOf(world, id)
      if (job === undefined) await cancelRun(id, call(world))
      else
        await cancelJob(job.id, call(world)).catch((error: unknown) =>
          expect(error).toHaveProperty('code', 'too-late-to-cancel'),
        )
      await turnUntil(engine, () => isOver(world, id))
      const [ended] = await jobsOf(world, id)
      const code = ended?.outcome?.code ?? (await runOf(world, id)).refusal?.code ?? 'none'
      ends.add(code)
      expect([code, await allPoints(world)]).toEqual([code, code === 'ok' ? [expect.anything()] : []])
      expect(ourSnapshots(vm)).toEqual([])
      await expectRest(engine)
    }
    expect([...ends].toSorted()).toEqual(['cancelled', 'ok'])
  })

  it('is not waited for: a wait of minutes ends at once', async () => {
    const { world, engine } = await worldWithVm()
    world.beforeMove = () => new Promise(() => undefined)
    const id = await request(world)
    await turnFor(engine, 1_800_000)
    const job = only(await jobsOf(world, id))
    expect(job.state).toBe('transferring')
    const askedMs = world.clock.nowMs()
    await cancelJob(job.id, call(world))
    await turnUntil(engine, async () => only(await jobsOf(world, id)).state !== 'transferring')
    expect(world.clock.nowMs() - askedMs).toBeLessThan(world.limits.pollMs)
  })

  it('twice is one wish; once it is done it is too late, and an unknown one is not found', async () => {
    const { world, engine } = await worldWithVm()
    const job = await backUpOne(engine)
    await expect(cancelJob(job.id, call(world))).rejects.toMatchObject({ code: 'too-late-to-cancel', kind: 'refused' })
    const id = await request(world)
    await turnUntil(engine, async () => (await jobsOf(world, id)).length === 1)
    const first = await cancelJob(only(await jobsOf(world, id)).id, call(world))
    world.clock.advance(1_000)
    expect((await cancelJob(first.id, call(world))).cancelRequestedAt).toBe(first.cancelRequestedAt)
    const unknown = { ...call(world) }
    await expect(cancelRun(first.runId.replaceAll(/./g, 'e') as never, unknown)).rejects.toMatchObject({
      code: 'run-not-found',
    })
  })
})

describe('a run that is cancelled', () => {
  it('before it is planned makes no jobs', async () => {
    const { world, engine } = await worldWithVm()
    const id = await request(world)
    await cancelRun(id, call(world))
    await turnUntil(engine, () => isOver(world, id))
    expect(await jobsOf(world, id)).toEqual([])
    expect(await runOf(world, id)).toMatchObject({ state: 'refused', refusal: { code: 'cancelled' } })
    expect((await cancelRun(id, call(world))).state).toBe('refused')
  })

  it('takes along the jobs that a plan is just making', async () => {
    const { world, engine } = await worldWithVm()
    for (const number of [2, 3]) addVm(world, { name: `db-${number}`, diskBytes: [64 * KiB] })
    const id = await request(world, { vms: ['db-1', 'db-2', 'db-3'] })
    await turnUntil(engine, async () => (await jobsOf(world, id)).length > 0)
    await cancelRun(id, call(world))
    await turnUntil(engine, () => isOver(world, id))
    const codes = (await jobsOf(world, id)).map(({ outcome }) => outcome?.code)
    expect(codes).toEqual(['cancelled', 'cancelled', 'cancelled'])
    await expectRest(engine)
  })
})

it('a backup that ended well is in the list of points', async () => {
  const { world, engine } = await worldWithVm()
  const job = await backUpOne(engine)
  const [entry, ...more] = await world.jobStore.recentPoints({ limit: 9 }, cancel)
  expect(more).toEqual([])
  expect(entry).toMatchObject({ pointId: job.pointId, vmName: 'db-1', sequence: 1, jobId: job.id })
  expect(entry?.disks).toMatchObject([{ key: 2000, capacityBytes: 192 * KiB }])
})
