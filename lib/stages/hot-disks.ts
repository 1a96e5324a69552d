// Disks that VDDK attaches to the mover's own VM: owed before a mover may attach one, detached before the snapshot goes.
// A disk that stays attached locks the snapshot's files.

import { hasCode } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type Moref, parseMoref } from '../model/ids.ts'
import type { Debt } from '../model/job.ts'
import type { VmDisk } from '../model/vm.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import { owe, pay } from './debts.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'

/** Where the policy may use `hotadd` and the mover's VM is known. Without this debt no mover attaches anything. */
export async function oweHotDisks(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<void> {
  const { policy, vm } = hold.job()
  if (deps.moverVm === null || !policy.transport.includes('hotadd')) return
  await using session = await deps.vsphere.open(cancel)

  const moverVm = await findMoverVm(session, deps.moverVm, cancel)
  if (moverVm === null) {
    deps.log.warn('mover-vm.unknown', { moverVm: deps.moverVm })
    return
  }
  // A VM cannot read itself by attaching its own disks, and they would be taken for attached ones.
  if (moverVm === vm.moref) return
  await owe(hold, { kind: 'hot-disk', moverVm }, cancel)
}

/** No mover of the job may run any more. @throws what may pass while a disk is still attached */
export async function detachHotDisks(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<void> {
  const debts = hold.job().owes.filter((debt) => debt.kind === 'hot-disk')
  if (debts.length === 0) return
  await using session = await deps.vsphere.open(cancel)

  const files = await filesOfVm(hold, session, cancel)
  for (const debt of debts) {
    const detached = await detach(session, { debt, files }, cancel)
    for (const file of detached) deps.log.warn('hot-disk.detached', { moverVm: debt.moverVm, file })
    await pay(hold, debt, cancel)
  }
}

/** By reference, or by instance uuid. @returns null when vCenter has no such VM */
async function findMoverVm(session: VsphereSession, name: string, cancel: Cancel): Promise<Moref | null> {
  if (!/^[A-Za-z]+-\d+$/.test(name)) {
    const wanted = name.toLowerCase()
    return (await session.listVms(cancel)).find((vm) => vm.vmId.toLowerCase() === wanted)?.moref ?? null
  }
  return await orGone(async () => (await session.readVm(parseMoref(name), cancel)).moref)
}

/** Every file of the VM's disks, as captured and as they are now: a disk may have been attached by either name. */
async function filesOfVm(hold: JobHold, session: VsphereSession, cancel: Cancel): Promise<readonly string[]> {
  const { capture, vm } = hold.job()
  const now = await orGone(() => session.readVm(vm.moref, cancel))
  const frozen =
    capture === null
      ? []
      : ((await orGone(() => session.readSnapshot(capture.snapshot, cancel)))?.disks ?? capture.disks)
  const disks = [...(capture?.disks ?? []), ...frozen, ...(now?.vmId === vm.vmId ? now.disks : [])]
  return [...new Set(disks.flatMap(filesOf))]
}

function filesOf({ fileName, parents }: VmDisk): readonly string[] {
  return [fileName, ...parents].filter((file) => file !== '')
}

type HotDisk = Extract<Debt, { readonly kind: 'hot-disk' }>

async function detach(
  session: VsphereSession,
  { debt, files }: { readonly debt: HotDisk; readonly files: readonly string[] },
  cancel: Cancel,
): Promise<readonly string[]> {
  // A VM that is gone has nothing attached.
  return (await orGone(() => session.detachDisks({ vm: debt.moverVm, files }, cancel))) ?? []
}

async function orGone<Found>(find: () => Promise<Found>): Promise<Found | null> {
  try {
    return await find()
  } catch (error) {
    if (hasCode(error, 'vm-not-found') || hasCode(error, 'snapshot-not-found')) return null
    throw error
  }
}
