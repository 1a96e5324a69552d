// release: what a job owes is given back wherever it is, and what cannot be is said.

import { describe, expect, it } from 'vitest'
import { takeSnapshot } from '../../lib/adapters/memory/machine.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { parseMoref } from '../../lib/model/ids.ts'
import { backUpOne, expectRest, ourSnapshots, request } from './backups.ts'
import { chaos } from './chaos.ts'
import { isOver, jobsOf, newEngine, turnFor, turnUntil } from './engine.ts'
import { addVm, cancel, newWorld } from './world.ts'

const HOUR_MS = 3_600_000

async function worldWithVm() {
  const world = await newWorld()
  const vm = addVm(world, { diskBytes: [192 * KiB] })
  return { world, vm, engine: newEngine(world) }
}

describe('release', () => {
  it('finds the snapshot of a VM that was registered anew under another reference', async () => {
    const { world, vm, engine } = await worldWithVm()
    world.chaos = chaos(({ name, process }) => {
      if (process === 'commit' && name === 'vsphere.open') vm.moref = parseMoref('vm-900')
      return null
    })
    const job = await backUpOne(engine)
    expect(job.outcome?.kind).toBe('failed')
    expect(ourSnapshots(vm)).toEqual([])
    await expectRest(engine)
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
  })

  it('has nothing to remove from a VM that is gone', async () => {
    const { world, engine } = await worldWithVm()
    world.chaos = chaos(({ name, process }) => {
      if (process === 'commit' && name === 'vsphere.open') world.vcenter.vms.length = 0
      return null
    })
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'vm-not-found' })
    expect(job.owes).toEqual([])
  })

  it('waits until the disks are consolidated', async () => {
    const { vm, engine } = await worldWithVm()
    vm.mishaps.removalsUnconsolidated = 1
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    expect(vm.consolidationNeeded).toBe(false)
    await expectRest(engine)
  })

  it('goes on trying while vCenter is away, and leaves the rest to the next backup after its time', async () => {
    const { world, vm, engine } = await worldWithVm()
    let away = false
    world.chaos = chaos(({ name, process }) => {
      if (process === 'commit' && name === 'queue.send') away = true
      return away && name.startsWith('vsphere') ? { when: 'before', blow: 'unreachable' } : null
    })
    const id = await request(world)
    await turnUntil(engine, async () => away)
    await turnFor(engine, 20 * HOUR_MS)
    const [trying] = await jobsOf(world, id)
    expect(trying).toMatchObject({ state: 'committed', outcome: { kind: 'success' } })
    expect(trying?.waitsFor).toContain('another try')
    await turnUntil(engine, () => isOver(world, id))
    const [job] = await jobsOf(world, id)
    expect(job?.outcome).toMatchObject({ kind: 'warning', code: 'left-behind' })
    expect(job?.notices[0]?.message).toContain('snapshot "coldframe-')
    expect(ourSnapshots(vm)).toHaveLength(1)

    away = false
    world.chaos = chaos(() => null)
    // The lease on the VM runs out by its time.
    await turnFor(engine, world.limits.placeMs)
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    expect(ourSnapshots(vm)).toEqual([])
  })

  it('comes back to a removal and a consolidation that take hours, and begins neither twice', async () => {
    const { world, vm, engine } = await worldWithVm()
    Object.assign(vm.mishaps, { removalsUnconsolidated: 1, removalTakesMs: HOUR_MS, consolidationTakesMs: 3 * HOUR_MS })
    const job = await backUpOne(engine)
    expect(job.outcome?.kind).toBe('success')
    const calls = world.vcenter.calls.filter((name) => name === 'removeSnapshot' || name === 'consolidate')
    expect(calls).toEqual(['removeSnapshot', 'consolidate'])
    await expectRest(engine)
    const times = (await world.jobStore.vms.get(vm.vmId, cancel))?.value.snapshots
    expect(times).toMatchObject([{ jobId: job.id, takenAt: job.capture?.takenAt, createMs: 0, freezeMs: 0 }])
    const hours = (times?.[0]?.removeMs ?? 0) / HOUR_MS
    expect(hours).toBeGreaterThanOrEqual(4)
    expect(hours).toBeLessThan(4.2)
    expect(times?.[0]?.aliveMs).toBeGreaterThanOrEqual(times?.[0]?.removeMs ?? Number.NaN)
    expect(times?.[0]?.growthBytes).toBe(job.snapshotWatch?.growthBytes)
  })

  it('says what it waits for while a removal goes on', async () => {
    const { world, vm, engine } = await worldWithVm()
    vm.mishaps.removalTakesMs = HOUR_MS
    const id = await request(world)
    await turnUntil(engine, async () => vm.runningTasks.includes('RemoveSnapshot_Task'))
    await turnFor(engine, HOUR_MS / 4)
    expect((await jobsOf(world, id))[0]).toMatchObject({ state: 'committed', claim: null })
    expect((await jobsOf(world, id))[0]?.waitsFor).toContain('"RemoveSnapshot_Task"')
    await turnUntil(engine, () => isOver(world, id))
    await expectRest(engine)
  })

  it('judges by the disks, too: a layer that stays though nothing says so is consolidated', async () => {
    const { world, vm, engine } = await worldWithVm()
    vm.mishaps.removalsHidden = 1
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    expect(vm.disks.map(({ files }) => files.length)).toEqual([1])
    expect(world.vcenter.calls.filter((name) => name === 'consolidate')).toHaveLength(1)
    await expectRest(engine)
  })

  it('tries a consolidation again that failed', async () => {
    const { vm, engine } = await worldWithVm()
    Object.assign(vm.mishaps, { removalsUnconsolidated: 1, consolidationsFail: 3 })
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    await expectRest(engine)
  })

  it('leaves the snapshots of others alone', async () => {
    const { world, vm, engine } = await worldWithVm()
    world.chaos = chaos(({ name, process }) => {
      if (process === 'release' && name === 'vsphere.open' && vm.snapshots.length === 1)
        takeSnapshot(vm, { name: 'of the operator', description: '', quiesced: false, atMs: 0 })
      return null
    })
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    expect(vm.snapshots.map(({ name }) => name)).toEqual(['of the operator'])
    await expectRest(engine)
  })
})
