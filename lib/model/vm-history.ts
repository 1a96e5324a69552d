// What is remembered of a VM from one job to the next: a reset that is due, how long its snapshots took, what hunt tried.

import type { GradeRecord } from './grade.ts'
import type { AlarmId, JobId, PointId, VmId } from './ids.ts'

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
  /** When it was reset last, and why; null when it never was. */
  readonly lastReset: { readonly at: string; readonly reason: string } | null
  /** Newest last, SNAPSHOTS_MAX at most. */
  readonly snapshots: readonly SnapshotTimes[]
  /** The newest restore point of a job of ours, whatever its policy; null when none is known. */
  readonly lastSuccess: {
    /** When its snapshot was taken: ISO 8601, UTC. */
    readonly at: string
    readonly pointId: PointId
    readonly grade: GradeRecord['reached']
    /** From the job's start to its commit. */
    readonly tookMs: number
  } | null
  /** How many jobs in a row ended without a point, and when the last one did; null after a success. */
  readonly failures: { readonly inRow: number; readonly at: string } | null
  /** The ladder that hunt climbs where disks do not consolidate; null where there is nothing to mend. */
  readonly hunt: {
    readonly tries: number
    readonly triedAt: string
    readonly reason: string
    /** The name of a snapshot that the last try was to make; null when it made none. */
    readonly snapshot: string | null
  } | null
  /** The last alarm that started a backup of it. */
  readonly lastAlarm: { readonly at: string; readonly alarmId: AlarmId } | null
  /** While it stands, every new point is marked as suspect. */
  readonly quarantine: AlarmMark | null
  /** While it stands, no point of the VM may be let go: whatever removes points must look here first. */
  readonly retentionFreeze: AlarmMark | null
  /** What was lifted, by whom and why; newest last, LIFTED_MAX at most. */
  readonly lifted: readonly LiftedMark[]
}

/** What an alarm has put on a VM; people lift it. */
export type AlarmMark = {
  /** ISO 8601, UTC. */
  readonly since: string
  readonly alarmId: AlarmId
  readonly alarmName: string
}

export type LiftedMark = AlarmMark & {
  readonly what: 'quarantine' | 'retention-freeze'
  readonly liftedAt: string
  readonly by: string
  readonly reason: string
}

export const SNAPSHOTS_MAX = 20

const noMarks = { lastAlarm: null, quarantine: null, retentionFreeze: null, lifted: [] } as const

export function newVmHistory({ vmId, name }: Pick<VmHistory, 'vmId' | 'name'>): VmHistory {
  return {
    vmId,
    name,
    trackingReset: null,
    lastReset: null,
    snapshots: [],
    lastSuccess: null,
    failures: null,
    hunt: null,
    ...noMarks,
  }
}

/** What a reset is due for. A lie that was found is not lived with; what merely does not work may be as it is for good. */
export type ResetCause = { readonly kind: 'lied' | 'broken'; readonly reason: string; readonly at: string }

/** A reset stuns the VM twice: one that did not help is not tried again before. */
export const RESET_EVERY_MS = 7 * 24 * 3_600_000

/** @returns the same history when it is due already, or was tried in vain lately */
export function withResetDue(history: VmHistory, { kind, reason, at }: ResetCause): VmHistory {
  const { trackingReset, lastReset } = history
  if (trackingReset !== null) return history
  const sinceMs = lastReset === null ? Number.POSITIVE_INFINITY : Date.parse(at) - Date.parse(lastReset.at)
  if (kind === 'broken' && sinceMs < RESET_EVERY_MS) return history
  return { ...history, trackingReset: { since: at, reason } }
}

export function withResetDone(history: VmHistory, at: string): VmHistory {
  const { trackingReset } = history
  if (trackingReset === null) return history
  return { ...history, trackingReset: null, lastReset: { at, reason: trackingReset.reason } }
}

/** Keeps the newest: a job that ends late does not take the place of one whose snapshot is younger. */
export function withSuccess(history: VmHistory, success: NonNullable<VmHistory['lastSuccess']>): VmHistory {
  const { lastSuccess } = history
  if (lastSuccess !== null && Date.parse(lastSuccess.at) >= Date.parse(success.at)) return history
  return { ...history, lastSuccess: success, failures: null }
}

export function withFailure(history: VmHistory, at: string): VmHistory {
  const { failures } = history
  // The same job may be asked to note it twice.
  if (failures?.at === at) return history
  return { ...history, failures: { inRow: (failures?.inRow ?? 0) + 1, at } }
}
