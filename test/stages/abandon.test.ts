// abandon: every dead letter ends with a job that says why, and nothing of ours stays behind.

import { describe, expect, it } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import { abandonOf, type JobStageKind } from '../../lib/model/message.ts'
import { backUpOne, expectRest, ourSnapshots, pointOfJob, request } from './backups.ts'
import { chaos } from './chaos.ts'
import { isOver, jobsOf, newEngine, runOf, turnFor, turnUntil } from './engine.ts'
import { addVm, cancel, newWorld } from './world.ts'

const HOUR_MS = 3_600_000
const BEFORE_COMMIT: readonly JobStageKind[] = ['prepare', 'capture', 'transfer', 'commit']

/** Messages come again soon, so that they die of their stage before watch takes them for lost. */
async function worldWithVm(receivesMax = 5) {
  const world = await newWorld({ visibilityMs: 10_000, receivesMax })
  const vm = addVm(world, { diskBytes: [192 * KiB] })
  return { world, vm, engine: newEngine(world) }
}

/** The stage's code is broken: each call of the named port throws a plain error. */
function poison(stage: string, call: string) {
  return chaos(({ process, name }) =>
    process === stage && name.startsWith(call) ? { when: 'before', blow: 'broken' } : null,
  )
}

describe('abandon', () => {
  it.each(BEFORE_COMMIT)('fails the job of a %s that is broken, and its snapshot goes', async (stage) => {
    const { world, vm, engine } = await worldWithVm()
    world.chaos = poison(stage, stage === 'transfer' ? 'tasks' : 'vsphere')
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'abandoned' })
    expect(job.outcome?.message).toMatch(/"db-1" was given up while "\w+": /)
    expect(ourSnapshots(vm)).toEqual([])
    await expectRest(engine)
    world.chaos = chaos(() => null)
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
  })

  it('refuses the run of a plan that is broken, with a sentence', async () => {
    const { world, engine } = await worldWithVm()
    world.chaos = poison('plan', 'vsphere')
    const id = await request(world, { door: 'schedule' })
    await turnUntil(engine, () => isOver(world, id))
    const run = await runOf(world, id)
    expect(run).toMatchObject({ state: 'refused', refusal: { kind: 'failed', code: 'abandoned' } })
    expect(run.refusal?.message).toContain('policy "default" was given up before it was planned')
  })

  it.each(['release', 'finish'])(
    'has a broken %s tried for its time, and then says what stays behind',
    async (stage) => {
      const { world, vm, engine } = await worldWithVm()
      world.chaos = poison(stage, stage === 'release' ? 'vsphere' : 'events')
      const id = await request(world)
      await turnFor(engine, 20 * HOUR_MS)
      expect((await jobsOf(world, id))[0]?.state).toBe(stage === 'release' ? 'committed' : 'finishing')
      await turnUntil(engine, () => isOver(world, id))
      const [job] = await jobsOf(world, id)
      if (job === undefined) throw new Error('there is a job')
      expect(await pointOfJob(world, job)).not.toBeNull()
      expect(job.outcome).toMatchObject(
        stage === 'release' ? { kind: 'warning', code: 'left-behind' } : { kind: 'success' },
      )
      expect(ourSnapshots(vm)).toHaveLength(stage === 'release' ? 1 : 0)
      // Messages stay few, however long it takes: five deliveries a dead letter, one dead letter at a time.
      expect(world.sent.length).toBeLessThan(1_000)
    },
  )

  it('is not needed for a stage that is broken for longer than it may take: its messages may outlive it', async () => {
    const { world, vm, engine } = await worldWithVm(10_000)
    world.chaos = poison('capture', 'vsphere')
    const started = world.clock.nowMs()
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'failed', message: '"vsphere.open" is broken' })
    expect(world.clock.nowMs() - started).toBeLessThan(2 * HOUR_MS)
    expect(ourSnapshots(vm)).toEqual([])
  })

  it('leaves a job alone that has moved on since the message died', async () => {
    const { world, engine } = await worldWithVm()
    const id = await request(world)
    await turnUntil(engine, async () => (await jobsOf(world, id))[0]?.state === 'transferring')
    const [job] = await jobsOf(world, id)
    if (job === undefined) throw new Error('there is a job')
    for (const kind of ['prepare', 'capture'] as const) {
      const dead = { v: 1, kind, jobId: job.id, attempt: 1, round: 0 } as const
      await world.queue.send(abandonOf(dead, 'it was throttled'), { delayMs: 0 }, cancel)
    }
    await turnUntil(engine, () => isOver(world, id))
    expect((await jobsOf(world, id))[0]?.outcome?.kind).toBe('success')
    await expectRest(engine)
  })

  it('waits for whoever works on the job', async () => {
    const { world, vm, engine } = await worldWithVm()
    vm.mishaps.snapshotTakesMs = 10 * 60_000
    world.beforeMove = () => world.clock.sleep(HOUR_MS / 4, cancel)
    const id = await request(world)
    await turnUntil(engine, async () => vm.runningTasks.length > 0)
    const [job] = await jobsOf(world, id)
    if (job === undefined) throw new Error('there is a job')
    const message = {
      v: 1,
      kind: 'abandon',
      target: { kind: 'job', jobId: job.id, attempt: 1 },
      reason: 'Nobody needs it',
    } as const
    await world.queue.send(message, { delayMs: 0 }, cancel)
    await turnFor(engine, 5 * 60_000)
    expect((await jobsOf(world, id))[0]?.state).toBe('capturing')
    await turnUntil(engine, () => isOver(world, id))
    expect((await jobsOf(world, id))[0]?.outcome).toMatchObject({ code: 'abandoned' })
    await expectRest(engine)
  })

  it('is not needed for a job whose worker dies every time: that has an end of its own', async () => {
    for (const [stage, call] of [
      ['prepare', 'vsphere.readVm'],
      ['capture', 'vsphere.createSnapshot'],
      ['commit', 'vsphere.open'],
    ] as const) {
      const { world, vm, engine } = await worldWithVm()
      world.chaos = chaos(({ process, name }) =>
        process === stage && name === call ? { when: 'after', blow: 'kill' } : null,
      )
      const job = await backUpOne(engine)
      expect(job.outcome).toMatchObject({ kind: 'failed' })
      expect(job.outcome?.message).toMatch(/interrupted|given up/)
      expect(ourSnapshots(vm)).toEqual([])
      await expectRest(engine)
    }
  })
})
