// transfer: movers that die, vanish, are slow to be known, or answer with a failure.

import { describe, expect, it } from 'vitest'
import { dropAllSnapshots, type MemoryVm, relocate, takeSnapshot } from '../../lib/adapters/memory/machine.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import type { Tasks } from '../../lib/ports/tasks.ts'
import { backUpOne, expectRest, pointOfJob } from './backups.ts'
import { chaos } from './chaos.ts'
import { newEngine } from './engine.ts'
import { addVm, newWorld, type World } from './world.ts'

async function worldWithVm() {
  const world = await newWorld()
  const vm = addVm(world, { diskBytes: [192 * KiB] })
  return { world, vm, engine: newEngine(world) }
}

/** The world with other answers about tasks. */
function withTasks(world: World, change: (tasks: Tasks) => Partial<Tasks>): World {
  const { tasks } = world
  world.tasks = { ...tasks, ...change(tasks) }
  return world
}

describe('transfer', () => {
  it('starts another mover on the same snapshot when one dies', async () => {
    const { world, engine } = await worldWithVm()
    world.moverChaos = chaos(({ name, process }) =>
      name === 'transport.read' && process !== 'mover/3' ? { when: 'before', blow: 'kill' } : null,
    )
    const job = await backUpOne(engine)
    expect(job).toMatchObject({ attempt: 3, outcome: { kind: 'success' } })
    expect(job.capture?.snapshotName).toMatch(/-backup-1$/)
    await expectRest(engine)
  })

  it('fails with what the log should tell when every mover dies', async () => {
    const { world, engine } = await worldWithVm()
    world.moverChaos = chaos(({ name }) => (name === 'transport.read' ? { when: 'before', blow: 'kill' } : null))
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'mover-died' })
    expect(job.outcome?.message).toContain('killed')
    await expectRest(engine)
  })

  it('does not take a mover for gone that nobody knows yet', async () => {
    const { world, engine } = await worldWithVm()
    let asked = 0
    let started = 0
    world.beforeMove = () => world.clock.sleep(20_000, { signal: new AbortController().signal })
    withTasks(world, (tasks) => ({
      start: (request, cancel) => {
        started++
        return tasks.start(request, cancel)
      },
      describe: async (id, cancel) => (asked++ < 2 ? { kind: 'unknown' } : tasks.describe(id, cancel)),
    }))
    const job = await backUpOne(engine)
    expect(job).toMatchObject({ attempt: 1, outcome: { kind: 'success' } })
    expect(started).toBe(1)
    await expectRest(engine)
  })

  it('starts another when nobody knows the mover and its hold has lapsed', async () => {
    const { world, engine } = await worldWithVm()
    let hung = false
    withTasks(world, (tasks) => ({
      describe: async (id, cancel) => (hung ? tasks.describe(id, cancel) : { kind: 'unknown' }),
    }))
    world.moverChaos = chaos(({ name }) => {
      if (hung || name !== 'transport.read') return null
      hung = true
      return { when: 'before', blow: 'kill' }
    })
    const job = await backUpOne(engine)
    expect(job).toMatchObject({ attempt: 2, outcome: { kind: 'success' } })
    await expectRest(engine)
  })

  it('stops a mover that runs but let its hold lapse, and starts another', async () => {
    const { world, engine } = await worldWithVm()
    const stopped: string[] = []
    let hung = false
    withTasks(world, (tasks) => ({
      describe: async (id, cancel) =>
        hung && stopped.length === 0 ? { kind: 'running' } : await tasks.describe(id, cancel),
      stop: async (id, cancel) => {
        stopped.push(id)
        await tasks.stop(id, cancel)
      },
    }))
    world.moverChaos = chaos(({ name }) => {
      if (hung || name !== 'transport.read') return null
      hung = true
      return { when: 'before', blow: 'kill' }
    })
    const job = await backUpOne(engine)
    expect(stopped).toHaveLength(1)
    expect(job).toMatchObject({ attempt: 2, outcome: { kind: 'success' } })
    await expectRest(engine)
  })

  it('waits for a free place for its mover', async () => {
    const { world, engine } = await worldWithVm()
    let refused = 0
    withTasks(world, (tasks) => ({
      start: async (request, cancel) => {
        if (refused++ < 5)
          throw new BackupError('Cannot start a mover: all places are taken', { code: 'no-capacity', retry: 'later' })
        return tasks.start(request, cancel)
      },
    }))
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    await expectRest(engine)
  })

  it('fails with what the mover said, by its first failure that does not pass', async () => {
    const { world, engine } = await worldWithVm()
    world.moverChaos = chaos(({ name }) => (name === 'transport.read' ? { when: 'before', blow: 'refused' } : null))
    const job = await backUpOne(engine)
    expect(job).toMatchObject({ attempt: 1, outcome: { kind: 'failed', code: 'struck-refused' } })
    await expectRest(engine)
  })

  it('reads again after a failure that may pass, and the point does not mention it', async () => {
    const { world, engine } = await worldWithVm()
    world.moverChaos = chaos(({ name, process }) =>
      name === 'transport.read' && process === 'mover/1' ? { when: 'before', blow: 'unreachable' } : null,
    )
    const job = await backUpOne(engine)
    expect(job).toMatchObject({ attempt: 2, outcome: { kind: 'success' }, notices: [] })
    expect((await pointOfJob(world, job))?.body.notices).toEqual([])
    await expectRest(engine)
  })

  it.each([
    { what: 'taken away', blow: 'unreachable', act: (vm: MemoryVm) => dropAllSnapshots(vm) },
    { what: 'moved to another datastore', blow: 'refused', act: (vm: MemoryVm) => relocate(vm, 'ds2') },
  ] as const)('ends at the first failure when the snapshot was $what', async ({ blow, act }) => {
    const { world, vm, engine } = await worldWithVm()
    world.moverChaos = chaos(({ name }) => {
      if (name !== 'transport.read') return null
      act(vm)
      return { when: 'before', blow }
    })
    const job = await backUpOne(engine)
    expect(job).toMatchObject({ attempt: 1, outcome: { kind: 'failed', code: 'snapshot-changed' } })
    await expectRest(engine)
  })

  it('reads again when somebody made a snapshot above ours', async () => {
    const { world, vm, engine } = await worldWithVm()
    world.moverChaos = chaos(({ name, process }) => {
      if (name !== 'transport.read' || process !== 'mover/1') return null
      if (vm.snapshots.length === 1)
        takeSnapshot(vm, { name: 'of an operator', description: '', quiesced: false, atMs: 0 })
      return { when: 'before', blow: 'unreachable' }
    })
    expect(await backUpOne(engine)).toMatchObject({ attempt: 2, outcome: { kind: 'success' } })
    await expectRest(engine)
  })

  it('reads again when vCenter does not tell whether the snapshot is still there', async () => {
    const { world, engine } = await worldWithVm()
    world.moverChaos = chaos(({ name, process }) =>
      name === 'transport.read' && process === 'mover/1' ? { when: 'before', blow: 'unreachable' } : null,
    )
    let failed = 0
    world.chaos = chaos(({ name, process }) => {
      if (process !== 'transfer' || name !== 'vsphere.readVm' || failed > 0) return null
      failed++
      return { when: 'before', blow: 'refused' }
    })
    const job = await backUpOne(engine)
    expect(failed).toBe(1)
    expect(job).toMatchObject({ attempt: 2, outcome: { kind: 'success' } })
    await expectRest(engine)
  })

  it('of a mover that does not stop is not followed by the removal of the snapshot', async () => {
    const { world, vm, engine } = await worldWithVm()
    const stopAsked: number[] = []
    let running = true
    world.moverChaos = chaos(({ name }) => (name === 'transport.read' ? { when: 'before', blow: 'refused' } : null))
    withTasks(world, (tasks) => ({
      describe: async (id, cancel) => (running ? { kind: 'running' } : tasks.describe(id, cancel)),
      stop: async () => {
        expect(vm.snapshots).toHaveLength(1)
        if (stopAsked.push(world.clock.nowMs()) === 20) running = false
      },
    }))
    const job = await backUpOne(engine)
    expect(job.outcome?.kind).toBe('failed')
    expect(stopAsked).toHaveLength(20)
    await expectRest(engine)
  })
})
