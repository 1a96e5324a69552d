// Makes changed block tracking real before anything is frozen: turned on only where that is safe, and followed by a stun.

import { BackupError } from '../base/errors.ts'
import { withTimeLimit } from '../base/time-limit.ts'
import { snapshotNameOf } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import type { VmState } from '../model/vm.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import { owe, pay } from './debts.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { removeSnapshots, snapshotsOfJob } from './snapshots.ts'
import type { StageCall } from './step.ts'

type Tracking = Job['tracking']

/** Turns changed block tracking on where that is safe: with no snapshot present, followed by a stun cycle. */
export async function trackChanges(
  found: { readonly session: VsphereSession; readonly vm: VmState },
  hold: JobHold,
  { deps, call }: { readonly deps: StageDeps; readonly call: StageCall },
): Promise<Tracking> {
  const { session, vm } = found
  if (vm.changeTrackingEnabled) return { active: true, reason: null }
  if (vm.changeTrackingSupported === false)
    return { active: false, reason: "this VM's hardware cannot track changed blocks" }
  if (vm.snapshots.length > 0)
    return { active: false, reason: 'changed block tracking is off and cannot be turned on while snapshots exist' }
  const job = hold.job()
  const name = snapshotNameOf({ job: job.id, purpose: 'stun', attempt: job.attempt })
  await owe(hold, { kind: 'snapshot', name }, call)
  await session.setChangeTracking({ vm: vm.moref, enabled: true }, call)
  // Tracking becomes real at the next stun; a snapshot made and removed is one (VDDK guide, "About CBT").
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
  deps.log.info('tracking.enabled', { vm: vm.name })
  return { active: true, reason: null }
}
