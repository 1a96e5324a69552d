// Makes changed block tracking real before anything is frozen: turned on or reset only where that is safe, and followed by a stun.

import { isoTime } from '../base/clock.ts'
import { BackupError } from '../base/errors.ts'
import { withTimeLimit } from '../base/time-limit.ts'
import { snapshotNameOf } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import { isExcluded } from '../model/preflight.ts'
import { flattenSnapshots, type VmState } from '../model/vm.ts'
import { withResetDone, withResetDue } from '../model/vm-history.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import { owe, pay } from './debts.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { removeSnapshots, snapshotsOfJob } from './snapshots.ts'
import type { StageCall } from './step.ts'
import { rememberVm, vmHistoryOf } from './vm-history.ts'

type Tracking = Job['tracking']
type Found = { readonly session: VsphereSession; readonly vm: VmState }
type Call = { readonly deps: StageDeps; readonly call: StageCall }

/**
 * Turns changed block tracking on, or resets it where that is due: with no snapshot present, each change followed by a stun cycle.
 * Whether it became real is seen in the next snapshot, which has a change id for each disk then.
 */
export async function trackChanges(found: Found, hold: JobHold, { deps, call }: Call): Promise<Tracking> {
  const { vm } = found
  if (!vm.changeTrackingEnabled && vm.changeTrackingSupported === false)
    return off("this VM's hardware cannot track changed blocks")
  const { trackingReset: due } = await vmHistoryOf(hold.job().vm, deps, call)
  if (due === null && vm.changeTrackingEnabled) return checkedTracking(found, hold, { deps, call })
  if (vm.snapshots.length > 0) {
    const reset = `changed block tracking is to be reset, which cannot be done while snapshots exist; reset for ${due?.reason}`
    const on = 'changed block tracking is off and cannot be turned on while snapshots exist'
    return off(due === null ? on : reset)
  }
  // Off for certain, also when an earlier try died in between: what is off already is off after its stun.
  if (due !== null) {
    const { snapshots } = await switchTracking(found, hold, { deps, call, enabled: false })
    // Made meanwhile: the reset stays due.
    if (snapshots.length > 0) return off('changed block tracking is off and cannot be turned on while snapshots exist')
  }
  const after = await switchTracking(found, hold, { deps, call, enabled: true })
  if (due !== null) {
    const at = isoTime(deps.clock.nowMs())
    await rememberVm(hold.job().vm, (history) => withResetDone(history, at), { deps, cancel: call })
    deps.log.warn('tracking.reset', { vm: vm.name, since: due.since, reason: due.reason })
  }
  // Somebody may have made a snapshot between the look at the tree and the switch.
  return checkedTracking({ ...found, vm: after }, hold, { deps, call })
}

function off(reason: string): Tracking {
  return { active: false, reason }
}

/**
 * Tracking that was turned on while a snapshot existed leaves out changes without a word (FIELD A7): such a snapshot has no change id
 * for a disk that it holds.
 */
async function checkedTracking({ session, vm }: Found, hold: JobHold, { deps, call }: Call): Promise<Tracking> {
  const { policy } = hold.job()
  for (const { moref, name } of flattenSnapshots(vm.snapshots)) {
    const { disks } = await session.readSnapshot(moref, call)
    const untracked = disks.find(
      (disk) => disk.changeId === null && disk.mode === 'persistent' && !isExcluded(disk, policy),
    )
    if (untracked === undefined) continue
    const reason = `changed block tracking was turned on after snapshot "${name}" was made, which holds "${untracked.label}" without a change id`
    // As good as a lie that was found: it is not lived with, however short ago the last reset was.
    const due = { kind: 'lied', reason, at: isoTime(deps.clock.nowMs()) } as const
    await rememberVm(hold.job().vm, (history) => withResetDue(history, due), { deps, cancel: call })
    return off(reason)
  }
  return { active: true, reason: null }
}

/** The change takes effect at the next stun; a snapshot made and removed is one (VDDK guide, "About CBT"). */
async function switchTracking(
  { session, vm }: Found,
  hold: JobHold,
  { deps, call, enabled }: Call & { readonly enabled: boolean },
): Promise<VmState> {
  const job = hold.job()
  const name = snapshotNameOf({ job: job.id, purpose: 'stun', attempt: job.attempt })
  await owe(hold, { kind: 'snapshot', name }, call)
  await session.setChangeTracking({ vm: vm.moref, enabled }, call)
  const description = `Coldframe job ${job.id}: makes changed block tracking take effect`
  const limited = { signal: withTimeLimit(call.signal, deps.limits.captureMs) }
  await session.createSnapshot({ vm: vm.moref, name, description, quiesce: { kind: 'none' } }, limited)
  const withStun = await session.readVm(vm.moref, call)
  const after = await removeSnapshots(
    { session, vm: vm.moref, snapshots: snapshotsOfJob(withStun, job.id, 'stun') },
    deps,
    call,
  )
  if (after.consolidationNeeded || snapshotsOfJob(after, job.id, 'stun').length > 0) {
    throw new BackupError(
      `Cannot remove snapshot "${name}" of VM "${vm.name}": it is still in the tree or its disks need consolidation`,
      {
        code: 'snapshot-removal-failed',
        retry: 'later',
        hint: "It is tried again; look at the VM's tasks in vCenter if this lasts",
      },
    )
  }
  await pay(hold, { kind: 'snapshot', name }, call)
  deps.log.info(enabled ? 'tracking.enabled' : 'tracking.disabled', { vm: vm.name })
  return after
}
