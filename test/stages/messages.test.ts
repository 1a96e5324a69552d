// Messages as SQS delivers them: twice, late, out of order, to two handlers at once. The record decides, not the message.

import { describe, expect, it } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import { wholeNumber } from '../../lib/base/random.ts'
import type { StageMessage } from '../../lib/model/message.ts'
import { handleMessage } from '../../lib/stages/run-stage.ts'
import { watch } from '../../lib/stages/watch.ts'
import { parseStageMessage } from '../../lib/wire/message.ts'
import { allPoints, backUpOne, expectRest, ourSnapshots, request } from './backups.ts'
import type { Process } from './chaos.ts'
import { type Engine, isOver, jobsOf, newEngine, turnFor, turnUntil } from './engine.ts'
import { addVm, cancel, newWorld, type World, type WorldOptions } from './world.ts'

async function worldWithVm(options: WorldOptions = {}) {
  const world = await newWorld(options)
  const vm = addVm(world, { diskBytes: [192 * KiB] })
  return { world, vm, engine: newEngine(world) }
}

function newProcess(): Process {
  return { name: 'test', stop: new AbortController(), dead: false, onDeath: () => undefined }
}

/** Old messages come again at random while the pump turns. */
function repeatMessages(world: World, chance: number): void {
  const { send } = world.queue
  const seen: StageMessage[] = []
  world.onSend = (message) => {
    seen.push(message)
    for (const old of seen) {
      if (world.random.fraction() >= chance) continue
      const delayMs = wholeNumber(world.random, { low: 0, high: 120_000 })
      void send(old, { delayMs }, cancel)
    }
    return 'twice'
  }
}

async function waitingMessages(engine: Engine): Promise<number> {
  const { world } = engine
  engine.watches = false
  // Everything is visible again after this, if it was not removed.
  world.clock.advance(world.visibilityMs + 900_000)
  let count = 0
  for (const kind of ['plan', 'prepare', 'capture', 'transfer', 'commit', 'release', 'finish', 'abandon'] as const)
    count += (await world.queue.receive(kind, { max: 1_000, visibilityMs: 1 }, cancel)).length
  return count
}

describe('messages', () => {
  it('that come twice and out of order, many at once, back each VM up once', async () => {
    const first = Number(process.env['COLDFRAME_SEED'] ?? Math.floor(Math.random() * 1e9))
    for (let seed = first; seed < first + 10; seed++) {
      const { world, vm, engine } = await worldWithVm({ seed })
      engine.deliveriesMax = 10
      repeatMessages(world, 0.2)
      for (const round of [1, 2]) {
        const job = await backUpOne(engine)
        expect(job.outcome?.kind, `seed ${seed}`).toBe('success')
        expect((await allPoints(world)).length, `seed ${seed}`).toBe(round)
        expect(job.attempt, `seed ${seed}`).toBe(1)
      }
      expect(world.vcenter.calls.filter((call) => call === 'createSnapshot').length, `seed ${seed}`).toBe(2)
      await turnFor(engine, 600_000)
      await expectRest(engine)
      expect(vm.snapshots).toEqual([])
      expect(await waitingMessages(engine), `seed ${seed}`).toBe(0)
    }
  })

  it('that are old do not multiply, however many there are and however late the job is', async () => {
    const { world, engine } = await worldWithVm()
    const id = await request(world)
    await turnUntil(engine, async () => (await jobsOf(world, id))[0]?.state === 'transferring')
    const [job] = await jobsOf(world, id)
    if (job === undefined) throw new Error('there is a job')
    // The due message is lost, the job is overdue, and a thousand late copies come in.
    world.clock.advance(3_600_000)
    const before = world.sent.length
    const copies = Array.from(
      { length: 1_000 },
      (_, round) => ({ v: 1, kind: 'capture', jobId: job.id, attempt: 1, round }) as const,
    )
    for (const copy of copies) {
      const deps = world.depsOf(newProcess())
      await handleMessage(copy, deps, { invocation: `copy-${copy.round}`, ...cancel })
      await watch(deps, cancel)
    }
    expect(world.sent.length - before).toBe(1)
    await turnUntil(engine, () => isOver(world, id))
    await expectRest(engine)
  })

  it('of a run that waits for vCenter do not multiply by watching', async () => {
    const { world } = await worldWithVm()
    await request(world, { door: 'schedule' })
    world.clock.advance(120_000)
    const before = world.sent.length
    for (let look = 0; look < 100; look++) await watch(world.depsOf(newProcess()), cancel)
    expect(world.sent.length - before).toBe(1)
  })

  it('handled twice at once are worked on once', async () => {
    const { world, vm, engine } = await worldWithVm()
    vm.mishaps.snapshotTakesMs = 5_000
    const id = await request(world)
    await turnUntil(engine, async () => (await jobsOf(world, id))[0]?.state === 'capturing')
    const [job] = await jobsOf(world, id)
    if (job === undefined) throw new Error('there is a job')
    const message = { v: 1, kind: 'capture', jobId: job.id, attempt: 1, round: 0 } as const
    const handlers = Array.from({ length: 10 }, (_, i) =>
      handleMessage(message, world.depsOf(newProcess()), { invocation: `rival-${i}`, ...cancel }),
    )
    const settled = Promise.allSettled(handlers)
    await turnUntil(engine, () => isOver(world, id))
    expect((await settled).every(({ status }) => status === 'fulfilled')).toBe(true)
    expect(world.vcenter.calls.filter((call) => call === 'createSnapshot')).toHaveLength(1)
    await expectRest(engine)
  })

  it('of a job that nobody knows fail, so that they die where it is seen', async () => {
    const { world } = await worldWithVm()
    const message = { v: 1, kind: 'commit', jobId: 'f'.repeat(32), attempt: 1, round: 0 }
    const unknown = world.depsOf(newProcess())
    const parsed = parseStageMessage(JSON.stringify(message))
    await expect(handleMessage(parsed, unknown, { invocation: 'x', ...cancel })).rejects.toMatchObject({
      code: 'job-unknown',
    })
  })

  it('that wake a job after its end change nothing', async () => {
    const { world, vm, engine } = await worldWithVm()
    const job = await backUpOne(engine)
    const calls = world.vcenter.calls.length
    for (const kind of ['prepare', 'capture', 'transfer', 'commit', 'release', 'finish'] as const)
      await world.queue.send({ v: 1, kind, jobId: job.id, attempt: 1, round: 0 }, { delayMs: 0 }, cancel)
    await turnFor(engine, 60_000)
    expect((await jobsOf(world, job.runId))[0]).toEqual(job)
    expect(world.vcenter.calls.length).toBe(calls)
    expect(ourSnapshots(vm)).toEqual([])
  })
})
