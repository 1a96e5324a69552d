// Our snapshots in a VM's tree: found by name, removed, and counted as gone only when the tree and the disks say so.

import { hasCode } from '../base/errors.ts'
import { type Cancel, withTimeLimit } from '../base/time-limit.ts'
import { type JobId, type Moref, parseSnapshotName, type SnapshotPurpose } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import { flattenSnapshots, type VmSnapshot, type VmState } from '../model/vm.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import type { StageDeps } from './deps.ts'

/** The snapshots of this job, of one purpose or of any; vSphere allows equal names, so there may be several. */
export function snapshotsOfJob(vm: VmState, job: JobId, purpose?: SnapshotPurpose): readonly VmSnapshot[] {
  return flattenSnapshots(vm.snapshots).filter((snapshot) => {
    const owner = parseSnapshotName(snapshot.name)
    return owner !== null && owner.job === job && (purpose === undefined || owner.purpose === purpose)
  })
}

/** The snapshots that jobs of ours left, this one's too: those whose job our own records know. */
export async function knownSnapshots(vm: VmState, deps: StageDeps, cancel: Cancel): Promise<readonly VmSnapshot[]> {
  const known: VmSnapshot[] = []
  for (const snapshot of flattenSnapshots(vm.snapshots)) {
    const owner = parseSnapshotName(snapshot.name)
    if (owner !== null && (await deps.jobStore.jobs.get(owner.job, cancel)) !== null) known.push(snapshot)
  }
  return known
}

/**
 * Removes what earlier jobs and tries left, and has the disks consolidated.
 * @returns the VM afterwards; null while snapshots of ours or the need of consolidation are still there
 */
export async function clearedVm(
  request: { readonly session: VsphereSession; readonly job: Job },
  deps: StageDeps,
  cancel: Cancel,
): Promise<VmState | null> {
  const { session, job } = request
  let vm = await session.readVm(job.vm.moref, cancel)
  // Another VM has the reference now: nothing is done to it.
  if (vm.vmId !== job.vm.vmId) return vm
  const left = await knownSnapshots(vm, deps, cancel)
  if (left.length > 0) vm = await removeSnapshots({ session, vm: vm.moref, snapshots: left }, deps, cancel)
  vm = await consolidated({ session, vm }, deps, cancel)
  const morefs = new Set(left.map((snapshot) => snapshot.moref))
  const stays = flattenSnapshots(vm.snapshots).some((snapshot) => morefs.has(snapshot.moref))
  return stays || vm.consolidationNeeded ? null : vm
}

/**
 * Removes snapshots one after the other and looks again.
 * @returns the VM as it is afterwards; the caller judges by its tree whether they are gone
 */
export async function removeSnapshots(
  request: { readonly session: VsphereSession; readonly vm: Moref; readonly snapshots: readonly VmSnapshot[] },
  deps: StageDeps,
  cancel: Cancel,
): Promise<VmState> {
  const limited = { signal: withTimeLimit(cancel.signal, deps.limits.captureMs) }
  for (const snapshot of request.snapshots) {
    try {
      await request.session.removeSnapshot(snapshot.moref, limited)
    } catch (error) {
      // Gone already, or its task expired: the tree below tells.
      if (!hasCode(error, 'snapshot-not-found') && !hasCode(error, 'task-lost')) throw error
    }
    deps.log.info('snapshot.removed', { snapshot: snapshot.name })
  }
  return request.session.readVm(request.vm, cancel)
}

/** Asks for consolidation when the VM needs it; @returns the VM afterwards */
export async function consolidated(
  request: { readonly session: VsphereSession; readonly vm: VmState },
  deps: StageDeps,
  cancel: Cancel,
): Promise<VmState> {
  if (!request.vm.consolidationNeeded) return request.vm
  deps.log.warn('vm.consolidating', { vm: request.vm.name })
  await request.session.consolidate(request.vm.moref, { signal: withTimeLimit(cancel.signal, deps.limits.captureMs) })
  return request.session.readVm(request.vm.moref, cancel)
}
