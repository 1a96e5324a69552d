import { setImmediate as eventLoopTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { BackupError } from '../../lib/base/errors.ts'
import { claimsOf, defaultEngineLimits, type EngineParts, runEngine } from '../../lib/compose/engine.ts'
import { parseRunId } from '../../lib/model/ids.ts'
import type { MessageQueue } from '../../lib/ports/queue.ts'
import type { StageDeps } from '../../lib/stages/deps.ts'
import { expectRest, request } from '../stages/backups.ts'
import { isOver, jobsOf, newEngine, runOf } from '../stages/engine.ts'
import { addVm, cancel, newWorld, type World } from '../stages/world.ts'

type Change = {
  readonly deps?: Partial<StageDeps>
  readonly queue?: Partial<MessageQueue>
  readonly runningMax?: number
}

function partsOf(world: World, change: Change = {}): EngineParts {
  const process = { name: 'engine', stop: new AbortController(), dead: false, onDeath: () => undefined }
  const engineId = 'engine-1'
  return {
    deps: { ...world.depsOf(process), isClaimLive: claimsOf(engineId), ...change.deps },
    queue: { ...world.queue, ...change.queue },
    engineId,
    runningMax: change.runningMax ?? 4,
    limits: defaultEngineLimits,
    isEnding: () => false,
  }
}

/** Runs the engine on the world's clock until `done`, then stops it and waits for its end. */
async function runUntil(world: World, parts: EngineParts, done: () => Promise<boolean> | boolean): Promise<void> {
  const stop = new AbortController()
  let over = false
  const failures: unknown[] = []
  void runEngine(parts, { signal: stop.signal })
    .catch((error: unknown) => failures.push(error))
    .finally(() => {
      over = true
    })
  const drive = async (): Promise<void> => {
    for (let turns = 0; !over && !(await done()); turns++) {
      if (turns > 200_000) throw new Error('the engine did not come to rest')
      await eventLoopTurn()
      world.clock.advance(50)
    }
  }
  try {
    await drive()
  } finally {
    stop.abort(new Error('enough'))
  }
  while (!over) {
    await eventLoopTurn()
    world.clock.advance(50)
  }
  if (failures.length > 0) throw failures[0]
}

describe('the engine of one machine', () => {
  it('hunts beside its work, every few hours, and lives on when a hunt fails', async () => {
    const world = await newWorld()
    const vm = addVm(world)
    vm.consolidationNeeded = true
    const { vsphere } = partsOf(world).deps
    let opens = 0
    const open: typeof vsphere.open = (within) =>
      ++opens === 1 ? Promise.reject(new BackupError('Cannot reach it', { code: 'away' })) : vsphere.open(within)
    const parts = partsOf(world, { deps: { vsphere: { open } } })
    await runUntil(world, { ...parts, limits: { ...parts.limits, huntMs: 60_000 } }, () => !vm.consolidationNeeded)
    expect(opens).toBe(2)
    expect(world.log.lines.filter(({ event }) => event === 'hunt.failed')).toHaveLength(1)
  })

  it('brings backups of several VMs to their end and leaves nothing behind', async () => {
    const world = await newWorld({ limits: { pollMs: 250, overdueMs: 5_000 } })
    const names = ['db-1', 'db-2', 'db-3']
    for (const name of names) addVm(world, { name })
    const run = await request(world, { vms: names })
    await runUntil(world, partsOf(world), () => isOver(world, run))

    expect((await jobsOf(world, run)).map(({ outcome }) => outcome?.kind)).toEqual(['success', 'success', 'success'])
    await expectRest(newEngine(world))
    expect(await world.queue.takeDead(cancel)).toEqual([])
  })

  it('sends no copies of messages that only wait their turn', async () => {
    const world = await newWorld({ limits: { pollMs: 250, overdueMs: 5_000 } })
    const names = Array.from({ length: 12 }, (_, index) => `db-${index}`)
    for (const name of names) addVm(world, { name, diskBytes: [65_536] })
    const vsphere: StageDeps['vsphere'] = {
      open: async (within) => {
        await world.clock.sleep(3_000, within)
        return await world.vsphere.open(within)
      },
    }
    const run = await request(world, { vms: names })
    await runUntil(world, partsOf(world, { runningMax: 1, deps: { vsphere } }), () => isOver(world, run))

    // Once a minute at most, what was not handled since.
    const sent = world.sent.map((message) => JSON.stringify(message))
    expect(sent.length - new Set(sent).size).toBeLessThan(3 * names.length)
    await expectRest(newEngine(world))
  })

  it('gives up a message that fails each time, after as many tries as allowed, and says so in the record', async () => {
    const world = await newWorld({ receivesMax: 3 })
    addVm(world)
    let tries = 0
    const vsphere = {
      open: async () => {
        tries++
        throw new Error('the code is broken')
      },
    }
    const run = await request(world, { door: 'schedule' })
    await runUntil(
      world,
      partsOf(world, { deps: { vsphere } }),
      async () => (await runOf(world, run)).state !== 'requested',
    )

    expect(tries).toBeGreaterThanOrEqual(3)
    expect(await runOf(world, run)).toMatchObject({ state: 'refused', refusal: { code: 'abandoned' } })
  })

  it('buries an abandon message that dies itself, and sends no other for it', async () => {
    const world = await newWorld({ receivesMax: 2 })
    const dead = { v: 1 as const, kind: 'abandon' as const, reason: 'test' }
    const target = { kind: 'run' as const, runId: parseRunId('0123456789abcdef0123456789abcdef') }
    let received = 0
    const runs: World['jobStore']['runs'] = {
      ...world.jobStore.runs,
      get: () => {
        received++
        throw new Error('the code is broken')
      },
    }
    await world.queue.send({ ...dead, target }, { delayMs: 0 }, cancel)
    const startedMs = world.clock.nowMs()
    const parts = partsOf(world, { deps: { jobStore: { ...world.jobStore, runs } } })
    await runUntil(world, parts, () => world.clock.nowMs() - startedMs > 300_000)

    expect(received).toBe(2)
    expect(await world.queue.takeDead(cancel)).toEqual([])
  })

  it('handles no more messages side by side than it may', async () => {
    const world = await newWorld()
    let running = 0
    let most = 0
    const runs = {
      ...world.jobStore.runs,
      get: async () => {
        most = Math.max(most, ++running)
        await eventLoopTurn()
        running--
        return null
      },
    }
    const dueRuns = async () => []
    for (let number = 0; number < 10; number++) {
      await world.queue.send(
        { v: 1, kind: 'plan', runId: parseRunId(String(number).repeat(32)) },
        { delayMs: 0 },
        cancel,
      )
    }
    const parts = partsOf(world, { deps: { jobStore: { ...world.jobStore, runs, dueRuns } }, runningMax: 2 })
    let turns = 0
    await runUntil(world, parts, () => ++turns > 400)

    expect(most).toBe(2)
  })

  it('lets what it handles come to its end when it is stopped, and shows the message again at once', async () => {
    const world = await newWorld()
    addVm(world)
    let opened = false
    const vsphere = {
      open: ({ signal }: { readonly signal: AbortSignal }) =>
        new Promise<never>((_resolve, reject) => {
          opened = true
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
    }
    await request(world)
    await runUntil(world, partsOf(world, { deps: { vsphere } }), () => opened)

    const again = await world.queue.receive('plan', { max: 1, visibilityMs: 1000 }, cancel)
    expect(again.map(({ receiveCount }) => receiveCount)).toEqual([2])
  })

  it('hides a message for as long as it is handled', async () => {
    const world = await newWorld()
    addVm(world)
    let opens = 0
    const vsphere = {
      open: async ({ signal }: { readonly signal: AbortSignal }) => {
        opens++
        await world.clock.sleep(300_000, { signal })
        throw new BackupError('Cannot reach vCenter', { code: 'vcenter-unreachable', retry: 'no' })
      },
    }
    const run = await request(world)
    await runUntil(
      world,
      partsOf(world, { deps: { vsphere } }),
      async () => (await runOf(world, run)).state !== 'requested',
    )

    // watch asks again for a run that nobody plans; every one of those messages is handled once.
    expect(opens).toBeLessThan(8)
    expect((await runOf(world, run)).refusal?.code).toBe('vcenter-unreachable')
  })

  it('begins nothing while it is ending', async () => {
    const world = await newWorld()
    addVm(world)
    const run = await request(world)
    let turns = 0
    await runUntil(world, { ...partsOf(world), isEnding: () => true }, () => ++turns > 200)

    expect((await runOf(world, run)).state).toBe('requested')
  })

  it('waits out a failure of its state that may pass, and ends with one that may not', async () => {
    const world = await newWorld()
    addVm(world)
    const run = await request(world)
    let failures = 0
    const failing = (retry: 'later' | 'no', times: number): Partial<MessageQueue> => ({
      receive: async (...args) => {
        if (failures < times) {
          failures++
          throw new BackupError('Cannot use state', { code: retry === 'later' ? 'disk-full' : 'state-damaged', retry })
        }
        return world.queue.receive(...args)
      },
    })
    await runUntil(world, partsOf(world, { queue: failing('later', 5) }), () => isOver(world, run))
    expect(failures).toBe(5)

    const ended = runUntil(world, partsOf(world, { queue: failing('no', 9) }), () => false)
    await expect(ended).rejects.toMatchObject({ code: 'state-damaged' })
  })

  it('takes claims of an earlier engine for dead and its own for alive until their time', () => {
    const isLive = claimsOf('engine-2')
    const claim = { stage: 'capture' as const, untilMs: 1000 }

    expect(isLive({ ...claim, invocation: 'engine-1/7' }, 0)).toBe(false)
    expect(isLive({ ...claim, invocation: 'engine-2/7' }, 0)).toBe(true)
    expect(isLive({ ...claim, invocation: 'engine-2/7' }, 1000)).toBe(false)
  })
})
