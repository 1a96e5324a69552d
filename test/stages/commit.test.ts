// commit: what changed between the read and the commit is seen, and what was published stays published.

import { describe, expect, it } from 'vitest'
import type { MemoryVm } from '../../lib/adapters/memory/machine.ts'
import {
  dropAllSnapshots,
  dropSnapshot,
  newDisk,
  relocate,
  revertTo,
  takeSnapshot,
  vmIdFor,
} from '../../lib/adapters/memory/machine.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { type Moref, sessionIdOf } from '../../lib/model/ids.ts'
import { allPoints, backUpOne, expectRest, pointOfJob, publishCopy, request } from './backups.ts'
import { chaos } from './chaos.ts'
import { isOver, jobsOf, newEngine, turnUntil } from './engine.ts'
import { addVm, newWorld, policyWith, type World } from './world.ts'

/** Does something to the VM when commit is about to look at it. */
function beforeCommit(world: World, act: () => void): void {
  let done = false
  world.chaos = chaos(({ name, process }) => {
    if (process === 'commit' && name === 'vsphere.open' && !done) {
      done = true
      act()
    }
    return null
  })
}

/** Somebody takes all snapshots away and makes one of the same name: frozen bytes under the same file name, but others. */
function remake(vm: MemoryVm): void {
  const [ours] = vm.snapshots
  if (ours === undefined) throw new Error('there is a snapshot')
  dropSnapshot(vm, ours.moref)
  takeSnapshot(vm, { name: ours.name, description: '', quiesced: ours.quiesced, atMs: ours.atMs })
}

const CHANGES: readonly { readonly what: string; readonly act: (vm: MemoryVm) => void }[] = [
  { what: 'removed', act: (vm) => vm.snapshots.map(({ moref }) => moref).forEach((moref) => dropSnapshot(vm, moref)) },
  { what: 'removed and made anew under the same name', act: remake },
  { what: 'moved to another datastore', act: (vm) => relocate(vm, 'ds2') },
  {
    what: 'left by a disk that was replaced',
    act: (vm) => void vm.disks.splice(0, 1, { ...newDisk({ vm: 'other', key: 2000, bytes: 192 * KiB }) }),
  },
  {
    what: 'one of a VM that took the place of ours',
    act: (vm) => {
      vm.vmId = vmIdFor('another')
    },
  },
]

describe('commit', () => {
  it.each(CHANGES)('publishes nothing when the snapshot was $what meanwhile', async ({ act }) => {
    const world = await newWorld()
    const vm = addVm(world, { diskBytes: [192 * KiB] })
    const { vmId } = vm
    const engine = newEngine(world)
    await backUpOne(engine)
    beforeCommit(world, () => act(vm))
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'snapshot-changed' })
    expect(job.outcome?.message).toContain('db-1')
    expect(await pointOfJob(world, job)).toBeNull()
    vm.vmId = vmId
    await expectRest(engine)
    const retry = await backUpOne(engine)
    expect(retry.outcome?.kind).toMatch(/success|warning/)
    await expectRest(engine)
  })

  it.each([
    {
      what: 'removed',
      act: (vm: MemoryVm, foreign: Moref) => dropSnapshot(vm, foreign),
    },
    {
      what: 'removed with all others, ours too',
      act: (vm: MemoryVm) => dropAllSnapshots(vm),
    },
  ])('publishes nothing when a snapshot below ours was $what', async ({ act }) => {
    const world = await newWorld()
    const vm = addVm(world, { diskBytes: [192 * KiB] })
    const foreign = takeSnapshot(vm, { name: 'the first', description: '', quiesced: false, atMs: 0 })
    takeSnapshot(vm, { name: 'before the update', description: '', quiesced: false, atMs: 0 })
    const engine = newEngine(world)
    const policy = policyWith({ transport: ['nbd'] })
    beforeCommit(world, () => act(vm, foreign))
    const job = await backUpOne(engine, { policy })
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'snapshot-changed' })
    await expectRest(engine)
    expect((await backUpOne(engine, { policy })).outcome?.kind).toMatch(/success|warning/)
    await expectRest(engine)
  })

  it('publishes nothing when the disk has grown', async () => {
    const world = await newWorld()
    const vm = addVm(world, { diskBytes: [192 * KiB] })
    const engine = newEngine(world)
    beforeCommit(world, () => {
      const [disk] = vm.disks
      if (disk !== undefined) disk.bytes = Buffer.concat([disk.bytes, new Uint8Array(64 * KiB)])
    })
    expect((await backUpOne(engine)).outcome).toMatchObject({ kind: 'failed', code: 'snapshot-changed' })
    await expectRest(engine)
  })

  it('keeps what was frozen when somebody made a snapshot above ours, and leaves it alone', async () => {
    const world = await newWorld()
    const vm = addVm(world, { diskBytes: [192 * KiB] })
    const engine = newEngine(world)
    beforeCommit(
      world,
      () => void takeSnapshot(vm, { name: 'of an operator', description: '', quiesced: false, atMs: 0 }),
    )
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    expect(vm.snapshots.map(({ name }) => name)).toEqual(['of an operator'])
    await expectRest(engine)
  })

  it.each([
    { ends: 'and had done nothing to it', gone: false },
    { ends: 'and had taken it away', gone: true },
  ])("waits for the end of somebody's task on the VM, $ends", async ({ gone }) => {
    const world = await newWorld()
    const vm = addVm(world, { diskBytes: [192 * KiB] })
    const engine = newEngine(world)
    const name = gone ? 'RemoveAllSnapshots_Task' : 'RelocateVM_Task'
    beforeCommit(world, () => vm.runningTasks.push({ name, startedAt: null, by: 'LAB\\alice' }))
    const id = await request(world)
    await turnUntil(engine, async () => (await jobsOf(world, id))[0]?.waitsFor?.includes(name) === true)
    expect((await jobsOf(world, id))[0]).toMatchObject({ state: 'transferred' })
    if (gone) dropAllSnapshots(vm)
    vm.runningTasks = []
    await turnUntil(engine, () => isOver(world, id))
    const outcome = gone ? { kind: 'failed', code: 'snapshot-changed' } : { kind: 'success' }
    expect((await jobsOf(world, id))[0]?.outcome).toMatchObject(outcome)
    await expectRest(engine)
  })

  it('publishes nothing when the VM was reverted to a snapshot below ours', async () => {
    const world = await newWorld()
    const vm = addVm(world, { diskBytes: [192 * KiB] })
    const foreign = takeSnapshot(vm, { name: 'before the update', description: '', quiesced: false, atMs: 0 })
    const engine = newEngine(world)
    const policy = policyWith({ transport: ['nbd'] })
    beforeCommit(world, () => revertTo(vm, foreign))
    const job = await backUpOne(engine, { policy })
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'snapshot-changed' })
    expect(vm.snapshots.map(({ name }) => name)).toEqual(['before the update'])
    await expectRest(engine)
    expect((await backUpOne(engine, { policy })).outcome?.kind).toMatch(/success|warning/)
    await expectRest(engine)
  })

  it('keeps what was frozen when the VM was reverted to our own snapshot, which froze the same bytes', async () => {
    const world = await newWorld()
    const vm = addVm(world, { diskBytes: [192 * KiB] })
    const engine = newEngine(world)
    beforeCommit(world, () => {
      const [ours] = vm.snapshots
      if (ours !== undefined) revertTo(vm, ours.moref)
    })
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    expect((await backUpOne(engine)).outcome?.kind).toMatch(/success|warning/)
    await expectRest(engine)
  })

  it('reads again and publishes the next sequence when another writer was faster', async () => {
    const world = await newWorld()
    addVm(world, { diskBytes: [192 * KiB] })
    const engine = newEngine(world)
    await backUpOne(engine)
    const [first] = await allPoints(world)
    if (first === undefined) throw new Error('there is a point')
    let published = false
    world.chaos = chaos(({ name, process }) => {
      if (process !== 'commit' || name !== 'vsphere.open' || published) return null
      published = true
      return publishCopy(world, first).then(() => null)
    })
    const id = await request(world)
    await turnUntil(engine, () => isOver(world, id))
    const [job] = await jobsOf(world, id)
    expect(published).toBe(true)
    expect(job?.outcome).toMatchObject({ kind: 'warning', code: 'point-conflict' })
    expect(job?.attempt).toBe(2)
    const points = await allPoints(world)
    expect(points.map(({ envelope }) => envelope.sequence)).toEqual([1, 2, 3])
    expect(points[2]?.envelope.sessionId).toBe(job === undefined ? '' : sessionIdOf(job.id, 2))
  })

  it('reads again when the session may no longer publish, and says so', async () => {
    const world = await newWorld()
    addVm(world, { diskBytes: [192 * KiB] })
    const engine = newEngine(world)
    let expired = false
    beforeCommit(world, () => {
      const starts = [...world.store.objects.keys()].filter((key) => /^s\/.*\/start$/.test(key))
      for (const key of starts) expired = world.store.objects.delete(key)
    })
    const job = await backUpOne(engine)
    expect(expired).toBe(true)
    expect(job.attempt).toBe(2)
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'session-expired' })
    expect((await allPoints(world)).map(({ envelope }) => envelope.sequence)).toEqual([1])
    await expectRest(engine)
  })

  it('that published and died before it could say so finds its point, whatever became of the snapshot', async () => {
    for (const blow of ['kill', 'refused', 'unreachable', 'broken', 'stop'] as const) {
      const world = await newWorld()
      const vm = addVm(world, { diskBytes: [192 * KiB] })
      const engine = newEngine(world)
      let struck = false
      world.chaos = chaos(({ name, process }) => {
        if (struck || process !== 'commit' || name !== 'store.putIfAbsent') return null
        struck = true
        setImmediate(() => vm.snapshots.map(({ moref }) => moref).forEach((moref) => dropSnapshot(vm, moref)))
        return { when: 'after', blow }
      })
      const job = await backUpOne(engine)
      expect(struck).toBe(true)
      expect(job.outcome?.kind).toBe('success')
      expect(await pointOfJob(world, job)).not.toBeNull()
      await expectRest(engine)
    }
  })
})
