// What is remembered of a VM from one job to the next: a reset that is due, how long its snapshots took, what hunt tried.

import type { JobId, VmId } from './ids.ts'

/** How one backup's snapshot weighed on its VM. */
export type SnapshotTimes = {
  readonly jobId: JobId
  /** ISO 8601, UTC. */
  readonly takenAt: string
  /** How long a script of ours held the guest. */
  readonly freezeMs: number
  /** The whole task that made it, and the one that removed it; the VM is stunned for a part of either. Null: not seen. */
  readonly createMs: number
  readonly removeMs: number | null
  /** How long it stood, and how much its deltas had grown when it went. Null: not seen. */
  readonly aliveMs: number | null
  readonly growthBytes: number | null
}

export type VmHistory = {
  readonly vmId: VmId
  readonly name: string
  /** Why changed block tracking is to be reset by the next prepare that finds no snapshot; null when it is not. */
  readonly trackingReset: { readonly since: string; readonly reason: string } | null
  /** Newest last, SNAPSHOTS_MAX at most. */
  readonly snapshots: readonly SnapshotTimes[]
  /** The ladder that hunt climbs where disks do not consolidate; null where there is nothing to mend. */
  readonly hunt: { readonly tries: number; readonly triedAt: string; readonly reason: string } | null
}

export const SNAPSHOTS_MAX = 20

export function newVmHistory({ vmId, name }: Pick<VmHistory, 'vmId' | 'name'>): VmHistory {
  return { vmId, name, trackingReset: null, snapshots: [], hunt: null }
}
