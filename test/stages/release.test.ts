// release: what a job owes is given back wherever it is, and what cannot be is said.

import { describe, expect, it } from 'vitest'
import { takeSnapshot } from '../../lib/adapters/memory/machine.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { parseMoref } from '../../lib/model/ids.ts'
import { backUpOne, expectRest, ourSnapshots, request } from './backups.ts'
import { chaos } from './chaos.ts'
import { isOver, jobsOf, newEngine, turnFor, turnUntil } from './engine.ts'
import { addVm, newWorld } from './world.ts'

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
