// Our snapshots in a VM's tree: found by name, removed, and counted as gone only when the tree and the disks say so.

import { hasCode } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { madeByHunt } from '../model/hunt.ts'
import { type JobId, type Moref, parseSnapshotName, type SnapshotPurpose, sessionIdOf } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import { flattenSnapshots, type VmSnapshot, type VmState } from '../model/vm.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import type { StageDeps } from './deps.ts'
import { endsInTime } from './task-wait.ts'
import { vmHistoryOf } from './vm-history.ts'

/** What removing needs of what stages act through. */
export type SnapshotDeps = Pick<StageDeps, 'clock' | 'log' | 'limits'>

/** The snapshots of this job, of one purpose or of any; vSphere allows equal names, so there may be several. */
export function snapshotsOfJob(vm: VmState, job: JobId, purpose?: SnapshotPurpose): readonly VmSnapshot[] {
  return flattenSnapshots(vm.snapshots).filter((snapshot) => {
    const owner = parseSnapshotName(snapshot.name)
    return owner !== null && owner.job === job && (purpose === undefined || owner.purpose === purpose)
  })
}

/** A snapshot that our own records know, and the job that made it. */
export type KnownSnapshot = { readonly snapshot: VmSnapshot; readonly job: Job }

/** The snapshots that jobs of ours made: those whose job our own records know, and know to be one of this VM. */
export async function knownSnapshots(
  vm: Pick<VmState, 'vmId' | 'snapshots'>,
  { jobStore }: Pick<StageDeps, 'jobStore'>,
  cancel: Cancel,
): Promise<readonly KnownSnapshot[]> {
  const known: KnownSnapshot[] = []
  for (const snapshot of flattenSnapshots(vm.snapshots)) {
    const owner = parseSnapshotName(snapshot.name)
    const found = owner === null ? null : await jobStore.jobs.get(owner.job, cancel)
    if (found !== null && found.value.vm.vmId === vm.vmId) known.push({ snapshot, job: found.value })
  }
  return known
}

/** Snapshots that hunt made and did not live to remove: the VM's history names them. */
export async function leftByHunt(
  vm: Pick<VmState, 'vmId' | 'name' | 'snapshots'>,
  deps: Pick<StageDeps, 'jobStore'>,
  cancel: Cancel,
): Promise<readonly VmSnapshot[]> {
  return madeByHunt(vm, await vmHistoryOf(vm, deps, cancel))
}

/** Whether a mover may still read for a job: none of its attempts gave a result, and the hold of one has not lapsed. */
export async function mayBeRead(
  job: Job,
  { jobStore, clock, limits }: Pick<StageDeps, 'jobStore' | 'clock' | 'limits'>,
  cancel: Cancel,
): Promise<boolean> {
  for (let attempt = 1; attempt <= job.attempt; attempt++) {
    const found = await jobStore.attempts.get(sessionIdOf(job.id, attempt), cancel)
    if (found === null || found.value.result !== null) continue
    if (found.value.heldUntilMs + limits.moverMarginMs > clock.nowMs()) return true
  }
  return false
}

/**
 * Removes what earlier jobs and tries left, and has the disks consolidated. The caller has seen that no task runs on the VM.
 * @returns the VM afterwards, or what has to be waited for
 */
export async function clearedVm(
  request: { readonly session: VsphereSession; readonly job: Job },
  deps: StageDeps,
  cancel: Cancel,
): Promise<VmState | { readonly waitsFor: string }> {
  const { session, job } = request
  let vm = await session.readVm(job.vm.moref, cancel)
  // Another VM has the reference now: nothing is done to it.
  if (vm.vmId !== job.vm.vmId) return vm
  const known = await knownSnapshots(vm, deps, cancel)
  for (const { job: other } of known) {
    if (other.id === job.id) continue
    if (other.state !== 'done') return { waitsFor: `job ${other.id}, which still has a snapshot of this VM` }
    if (await mayBeRead(other, deps, cancel)) return { waitsFor: `the mover of job ${other.id}, which may still read` }
  }
  const left = [...known.map(({ snapshot }) => snapshot), ...(await leftByHunt(vm, deps, cancel))]
  if (left.length > 0) vm = await removeSnapshots({ session, vm: vm.moref, snapshots: left }, deps, cancel)
  const morefs = new Set(left.map((snapshot) => snapshot.moref))
  if (flattenSnapshots(vm.snapshots).some((snapshot) => morefs.has(snapshot.moref)))
    return { waitsFor: 'the removal of an earlier snapshot of ours' }
  vm = await consolidated({ session, vm }, deps, cancel)
  return vm.consolidationNeeded ? { waitsFor: "the consolidation of the VM's disks" } : vm
}

/**
 * Removes snapshots one after the other and looks again. One whose removal takes longer than a stage waits for a task is left to
 * vCenter, which goes on with it; the others then wait for the next call.
 * @returns the VM as it is afterwards; the caller judges by its tree whether they are gone
 */
export async function removeSnapshots(
  request: { readonly session: VsphereSession; readonly vm: Moref; readonly snapshots: readonly VmSnapshot[] },
  deps: SnapshotDeps,
  cancel: Cancel,
): Promise<VmState> {
  const { session } = request
  for (const { moref, name: snapshot } of request.snapshots) {
    try {
      const ended = await endsInTime((limited) => session.removeSnapshot(moref, limited), deps, cancel)
      deps.log.info(ended ? 'snapshot.removed' : 'snapshot.removal-goes-on', { snapshot })
      if (!ended) break
    } catch (error) {
      // Gone already, or its task expired: the tree below tells.
      if (!hasCode(error, 'snapshot-not-found') && !hasCode(error, 'task-lost')) throw error
      deps.log.info('snapshot.removal-unknown', { snapshot })
    }
  }
  return session.readVm(request.vm, cancel)
}

/**
 * Asks for consolidation when the VM needs it, or the caller saw that it does; waits for as long as a stage waits for a task.
 * @returns the VM afterwards
 */
export async function consolidated(
  request: { readonly session: VsphereSession; readonly vm: VmState; readonly needed?: boolean },
  deps: SnapshotDeps,
  cancel: Cancel,
): Promise<VmState> {
  const { session, vm } = request
  if (!vm.consolidationNeeded && request.needed !== true) return vm
  deps.log.warn('vm.consolidating', { vm: vm.name })
  try {
    const ended = await endsInTime((limited) => session.consolidate(vm.moref, limited), deps, cancel)
    if (!ended) deps.log.info('vm.consolidation-goes-on', { vm: vm.name })
  } catch (error) {
    // Its task expired before it was asked: what the disks say below counts.
    if (!hasCode(error, 'task-lost')) throw error
  }
  return session.readVm(vm.moref, cancel)
}
