// A snapshot that is made and that the VM's tree does not show yet: waited for, in bounds, before it counts as gone.

import type { Cancel } from '../base/time-limit.ts'
import type { VmState } from '../model/vm.ts'
import { disksOnLostDeltas } from '../model/vm-layers.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { snapshotsOfJob } from './snapshots.ts'

/**
 * The job began a snapshot that it never saw in the tree, the tree is empty, and the disks run on deltas: they may be those of that
 * snapshot. After listMs they count as deltas that nothing accounts for.
 * @returns what is waited for; null when nothing is, or no longer
 */
export async function lateSnapshot(
  hold: JobHold,
  vm: VmState,
  { deps, cancel }: { readonly deps: Pick<StageDeps, 'clock' | 'limits' | 'log'>; readonly cancel: Cancel },
): Promise<string | null> {
  const job = hold.job()
  // A capture is recorded only of a snapshot that the tree showed.
  const owed = job.capture === null ? job.owes.find(({ kind }) => kind === 'snapshot') : undefined
  if (owed?.kind !== 'snapshot' || vm.vmId !== job.vm.vmId || snapshotsOfJob(vm, job.id).length > 0) return null
  if (disksOnLostDeltas(vm).length === 0) return null
  const nowMs = deps.clock.nowMs()
  const unlistedSinceMs = job.unlistedSinceMs ?? nowMs
  if (job.unlistedSinceMs === null) await hold.update((each) => ({ ...each, unlistedSinceMs }), cancel)
  if (nowMs - unlistedSinceMs < deps.limits.listMs)
    return `snapshot "${owed.name}" to appear in the VM's tree: its disks run on deltas`
  deps.log.warn('snapshot.never-listed', { snapshot: owed.name })
  return null
}
