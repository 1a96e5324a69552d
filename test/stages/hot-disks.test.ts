// Hot-added disks: owed before a mover may attach one, and detached before the snapshot goes, whatever became of the mover.

import { describe, expect, it } from 'vitest'
import type { MemoryVm } from '../../lib/adapters/memory/machine.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { parseMoref } from '../../lib/model/ids.ts'
import { backUpOne, expectRest, ourSnapshots, pointOfJob } from './backups.ts'
import { chaos } from './chaos.ts'
import { newEngine } from './engine.ts'
import { attach } from './transports.ts'
import { addVm, newWorld, policyWith, type World } from './world.ts'

const policy = policyWith({ transport: ['hotadd', 'nbd'], attemptsMax: 2 })
const onlyHotadd = policyWith({ transport: ['hotadd'], attemptsMax: 2 })

async function worldWithMover(): Promise<{ world: World; vm: MemoryVm; mover: MemoryVm }> {
  const world = await newWorld()
  const vm = addVm(world, { diskBytes: [192 * KiB, 64 * KiB] })
  const mover = addVm(world, { name: 'mover-1', diskBytes: [64 * KiB] })
  world.moverVm = mover.moref
  return { world, vm, mover }
}

describe('hot-added disks', () => {
  it('are owed before the mover starts, read, and not owed any more afterwards', async () => {
    const { world, vm, mover } = await worldWithMover()
    const owed: string[] = []
    const engine = newEngine(world)
    world.beforeMove = async ({ jobId }) => {
      const job = (await world.jobStore.jobs.get(jobId, { signal: new AbortController().signal }))?.value
      owed.push(...(job?.owes ?? []).flatMap((debt) => (debt.kind === 'hot-disk' ? [debt.moverVm] : [])))
    }
    const job = await backUpOne(engine, { policy })
    expect(job.outcome?.kind).toBe('success')
    expect(job.owes).toEqual([])
    expect(owed).toEqual([mover.moref])
    expect((await pointOfJob(world, job))?.body.disks.map(({ transport }) => transport)).toEqual(['hotadd', 'hotadd'])
    expect(mover.disks).toHaveLength(1)
    expect(ourSnapshots(vm)).toEqual([])
  })

  it('are detached before the snapshot goes when every mover died with one attached, and nothing of the mover VM is', async () => {
    const { world, vm, mover } = await worldWithMover()
    const scratch = attach(mover, '[ds1] mover-1/scratch.vmdk')
    const other = attach(mover, '[ds9] other-vm/other-vm.vmdk')
    world.moverChaos = chaos(({ name }) => (name === 'transport.read' ? { when: 'before', blow: 'kill' } : null))
    const engine = newEngine(world)
    const job = await backUpOne(engine, { policy: onlyHotadd })
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'mover-died' })
    expect(job.owes).toEqual([])
    expect(mover.disks.map((disk) => disk.files[0])).toEqual([
      '[ds1] mover-1/mover-1.vmdk',
      ...[scratch, other].map((disk) => disk.files[0]),
    ])
    expect(ourSnapshots(vm)).toEqual([])
    const calls = world.vcenter.calls
    expect(calls.lastIndexOf('detachDisks')).toBeLessThan(calls.lastIndexOf('removeSnapshot'))
  })

  it('hold the snapshot back while they cannot be detached', async () => {
    const { world, vm, mover } = await worldWithMover()
    world.moverChaos = chaos(({ name }) => (name === 'transport.read' ? { when: 'before', blow: 'kill' } : null))
    let failures = 0
    world.chaos = chaos(({ name }) =>
      name === 'vsphere.detachDisks' && ++failures <= 3 ? { when: 'before', blow: 'unreachable' } : null,
    )
    const engine = newEngine(world)
    const job = await backUpOne(engine, { policy: onlyHotadd })
    expect(failures).toBe(4)
    expect(job.owes).toEqual([])
    expect(mover.disks).toHaveLength(1)
    expect(ourSnapshots(vm)).toEqual([])
  })

  it.each([
    ['no VM of the mover is set', () => null],
    ['the one that is set does not exist', () => 'vm-999'],
    ['no VM has the instance uuid that is set', () => '50126ec1-3b80-4d0e-9b1a-0123456789ab'],
    ['it is the VM that is backed up', (vm: MemoryVm) => vm.moref],
  ])('are not used where %s: the next transport of the policy is', async (_name, moverVm) => {
    const { world, vm } = await worldWithMover()
    world.moverVm = moverVm(vm)
    const engine = newEngine(world)
    const job = await backUpOne(engine, { policy })
    expect((await pointOfJob(world, job))?.body.disks.map(({ transport }) => transport)).toEqual(['nbd', 'nbd'])
    expect(world.vcenter.calls).not.toContain('detachDisks')
    const refused = await backUpOne(engine, { policy: onlyHotadd })
    expect(refused.outcome).toMatchObject({ kind: 'failed', code: 'no-transport' })
    expect(refused.outcome?.message).toContain('hotadd: the job names no VM to detach disks from (COLDFRAME_MOVER_VM')
    await expectRest(engine)
  })

  it('are found by the instance uuid of the VM of the mover, too', async () => {
    const { world, mover } = await worldWithMover()
    world.moverVm = mover.vmId.toUpperCase()
    world.beforeMove = async () => {
      world.moverVm = mover.moref
    }
    const job = await backUpOne(newEngine(world), { policy: onlyHotadd })
    expect(job.outcome?.kind).toBe('success')
  })

  it('went with the VM of the mover when that is gone', async () => {
    const { world, vm, mover } = await worldWithMover()
    world.beforeMove = async () => {
      world.vcenter.vms.splice(world.vcenter.vms.indexOf(mover), 1)
      mover.moref = parseMoref('vm-900')
    }
    const job = await backUpOne(newEngine(world), { policy: onlyHotadd })
    expect(job.owes).toEqual([])
    expect(ourSnapshots(vm)).toEqual([])
  })
})
