// How a backup's snapshot weighed on its VM: found in what is remembered of the VM, and said in words.

import { formatBytes, formatDuration } from '../base/text.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import type { SnapshotTimes, VmHistory } from '../model/vm-history.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { StoredPoint } from '../repository/point-object.ts'

/** @returns null when the snapshot is not gone yet, or the VM's history no longer tells of it */
export async function snapshotOfJob(
  { id, vm }: Pick<Job, 'id' | 'vm'>,
  { jobStore }: { readonly jobStore: JobStore },
  cancel: Cancel,
): Promise<SnapshotTimes | null> {
  const history = (await jobStore.vms.get(vm.vmId, cancel))?.value
  return history?.snapshots.find(({ jobId }) => jobId === id) ?? null
}

/** @returns null when another installation made the point, or the VM's history no longer tells of it */
export function snapshotOfPoint(
  { envelope }: Pick<StoredPoint, 'envelope'>,
  history: Pick<VmHistory, 'snapshots'> | undefined,
): SnapshotTimes | null {
  return history?.snapshots.find(({ jobId }) => envelope.sessionId.startsWith(`${jobId}-`)) ?? null
}

/** One line; what was not seen is left out. */
export function describeSnapshot({ createMs, removeMs, aliveMs, growthBytes, freezeMs }: SnapshotTimes): string {
  return [
    `made in ${formatDuration(createMs)}`,
    ...(removeMs === null ? [] : [`removed in ${formatDuration(removeMs)}`]),
    ...(aliveMs === null ? [] : [`stood for ${formatDuration(aliveMs)}`]),
    ...(growthBytes === null ? [] : [`grew by ${formatBytes(growthBytes)}`]),
    ...(freezeMs === 0 ? [] : [`guest frozen for ${formatDuration(freezeMs)}`]),
  ].join(', ')
}
