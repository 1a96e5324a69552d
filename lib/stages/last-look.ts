// The look at what capture froze, once more: whether what was read of it, or still could be, is what the point would promise.

import { isDeepStrictEqual } from 'node:util'
import { messageOf } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Capture, Job } from '../model/job.ts'
import type { Outcome } from '../model/outcome.ts'
import { flattenSnapshots, type SnapshotState, type VmState } from '../model/vm.ts'
import { waitsForTasks } from '../model/vm-task.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import type { StageDeps } from './deps.ts'

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

export type LastLook = { readonly waitsFor: string | null; readonly difference: string | null }

/**
 * Range reads succeed also on garbage: what was removed, reverted, consolidated or moved meanwhile must be seen here. Tasks before
 * the tree: one that began during the read either still runs, and its end is waited for, or is seen in what it changed. One
 * that begins later harms nothing: everything is read.
 */
export async function lookAgain(job: Job, capture: Capture, { deps, cancel }: Call): Promise<LastLook> {
  await using session = await deps.vsphere.open(cancel)

  const waitsFor = waitsForTasks(await session.runningTasks(job.vm.moref, cancel))
  if (waitsFor !== null) return { waitsFor, difference: null }
  return { waitsFor, difference: await findDifference(job, capture, { session, cancel }) }
}

/**
 * The look of a read that failed: whether another attempt could become a point at all. A vCenter that does not answer, or whose
 * answer is half of a change, decides nothing.
 * @returns how the job ends; null while another attempt may do better
 */
export async function changedDuringRead(job: Job, deps: StageDeps, cancel: Cancel): Promise<Outcome | null> {
  if (job.capture === null) return null
  try {
    await using session = await deps.vsphere.open(cancel)

    const difference = await findDifference(job, job.capture, { session, cancel })
    return difference === null ? null : changed(job, difference)
  } catch (error) {
    cancel.signal.throwIfAborted()
    deps.log.warn('snapshot.look-failed', { vm: job.vm.moref, message: messageOf(error) })
    return null
  }
}

/** In words, what is not as it was captured; null when everything is. */
async function findDifference(
  job: Job,
  capture: Capture,
  { session, cancel }: { readonly session: VsphereSession; readonly cancel: Cancel },
): Promise<string | null> {
  const vm = await session.readVm(job.vm.moref, cancel)
  const missing = snapshotMissing(job, capture, vm)
  if (missing !== null) return missing
  const snapshot = await session.readSnapshot(capture.snapshot, cancel)
  return diskDifference(capture, snapshot, vm)
}

function snapshotMissing(job: Job, capture: Capture, vm: VmState): string | null {
  if (vm.vmId !== job.vm.vmId) return `"${job.vm.moref}" is now another VM ("${vm.name}")`
  const entry = flattenSnapshots(vm.snapshots).find((snapshot) => snapshot.moref === capture.snapshot)
  if (entry === undefined) return `snapshot "${capture.snapshotName}" is no longer in its tree`
  return entry.name === capture.snapshotName ? null : `its snapshot is now named "${entry.name}"`
}

/** In words, the first difference between the disks as captured and as they are; null when there is none. Pure. */
export function diskDifference(
  capture: Pick<Capture, 'disks'>,
  snapshot: SnapshotState,
  vm: Pick<VmState, 'disks'>,
): string | null {
  for (const disk of capture.disks) {
    const now = snapshot.disks.find((other) => other.key === disk.key)
    if (now === undefined) return `disk "${disk.label}" is no longer in the snapshot`
    if (now.fileName !== disk.fileName)
      return `disk "${disk.label}" is now backed by "${now.fileName}", not "${disk.fileName}"`
    // Somebody removed or consolidated a snapshot below ours: its bytes were moved while they were read.
    if (!isDeepStrictEqual(now.parents, disk.parents))
      return `disk "${disk.label}" now builds on ${chainOf(now.parents)}, not on ${chainOf(disk.parents)}`
    if (now.uuid !== disk.uuid) return `disk "${disk.label}" has another identity`
    if (now.capacityBytes !== disk.capacityBytes) return `disk "${disk.label}" has another size`
    const live = vm.disks.find((other) => other.key === disk.key)
    if (live !== undefined && live.capacityBytes !== disk.capacityBytes)
      return `the running disk "${disk.label}" has another size`
    // A reverted VM hangs its running disk below another parent; a removed disk leaves the frozen layer readable.
    const chain = live === undefined ? null : [live.fileName, ...live.parents]
    if (chain !== null && !chain.includes(disk.fileName)) {
      return `the running disk "${disk.label}" ("${live?.fileName}") no longer builds on "${disk.fileName}"`
    }
  }
  return null
}

function chainOf(files: readonly string[]): string {
  return files.length === 0 ? 'nothing' : files.map((file) => `"${file}"`).join(', ')
}

export function changed(job: Job, difference: string): Outcome {
  return {
    kind: 'failed',
    code: 'snapshot-changed',
    message: `Cannot keep what was read of VM "${job.vm.name}": ${difference}`,
    hint: "Somebody changed the VM's snapshots or disks during the read; start the backup again",
  }
}
