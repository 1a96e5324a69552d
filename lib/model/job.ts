// A job: one VM in a run, and the record that is the authority on how far it has come.

import type { Footing, MoverGrant } from './admission.ts'
import type { GradeRecord } from './grade.ts'
import type { GuestState } from './guest.ts'
import type { JobId, Moref, PointId, RunId, VmId } from './ids.ts'
import type { JobStageKind } from './message.ts'
import type { Notice, Outcome } from './outcome.ts'
import type { DiskAudit, ExcludedDisk } from './point.ts'
import type { Policy } from './policy.ts'
import type { TrackingFault } from './tracking-fault.ts'
import type { JobUsage, Usage } from './usage.ts'
import type { PowerState, VmConfig, VmDisk } from './vm.ts'

export const JOB_STATES = [
  'waiting',
  'preparing',
  'capturing',
  'captured',
  'transferring',
  'transferred',
  'committed',
  'releasing',
  'finishing',
  'done',
] as const
export type JobState = (typeof JOB_STATES)[number]

/** Who works on the job now. A lapsed claim may be taken over. */
export type Claim = { readonly stage: JobStageKind | 'abandon'; readonly invocation: string; readonly untilMs: number }

/** What others must clean up if we die; recorded before it is made. */
export type Debt =
  /** A place in a shared resource, for example the VM's lease. */
  | { readonly kind: 'place'; readonly resource: string }
  /** A snapshot of ours; it may or may not exist under this name, once or more often. */
  | { readonly kind: 'snapshot'; readonly name: string }
  /** A workspace of ours in the guest, named by this token; it may or may not exist. */
  | { readonly kind: 'guest'; readonly token: string }
  /** Disks of the VM that may still be attached to the mover's own VM. */
  | { readonly kind: 'hot-disk'; readonly moverVm: Moref }
  /** A mover of this attempt that may run. */
  | {
      readonly kind: 'mover'
      readonly attempt: number
      readonly clientToken: string
      readonly placement: number
      readonly taskId: string | null
    }
  /** What the mover of this attempt found of earlier points: they are to be marked as unproven. */
  | { readonly kind: 'annotation'; readonly attempt: number }

/** What capture froze: complete or absent, never in between. */
export type Capture = {
  readonly snapshotName: string
  readonly snapshot: Moref
  readonly takenAt: string
  readonly powerState: PowerState
  readonly grade: GradeRecord
  readonly config: VmConfig
  readonly disks: readonly VmDisk[]
  readonly excludedDisks: readonly ExcludedDisk[]
}

/** What was seen of the backup's snapshot while it stands, and when its removal was begun. */
export type SnapshotWatch = {
  /** When it was first looked at, by our own clock. */
  readonly sinceMs: number
  readonly lookedAtMs: number
  /** What the layers above it held at the last look that could tell. */
  readonly growthBytes: number | null
  readonly removalAtMs: number | null
}

/** A text from outside that explains a failure, cut to EVIDENCE_BYTES_MAX. */
export type Evidence = { readonly name: string; readonly text: string }

/** A record of state is small: it must fit one item of a table (400 KB). In bytes of JSON. */
export const EVIDENCE_BYTES_MAX = 16_384
export const EVIDENCE_MAX = 6

export type JobTimes = {
  readonly createdAt: string
  readonly startedAt: string | null
  readonly capturedAt: string | null
  readonly transferredAt: string | null
  readonly committedAt: string | null
  readonly releasedAt: string | null
  readonly doneAt: string | null
}

export type JobCounts = {
  readonly readBytes: number
  readonly newPlainBytes: number
  readonly storedBytes: number
}

export type Job = {
  readonly id: JobId
  readonly runId: RunId
  readonly vm: { readonly moref: Moref; readonly vmId: VmId; readonly name: string; readonly datacenter: string }
  readonly policy: Policy
  /** Anti-affinity groups: members never have a snapshot of ours at once. */
  readonly groups: readonly string[]
  /** Whether everything is read and stored anew, as the run asks. */
  readonly full: boolean
  /** From 1; a new one for every new capture. */
  readonly attempt: number
  readonly state: JobState
  readonly claim: Claim | null
  /** The stage whose message is due, and when it is overdue; null when done. */
  readonly nextStage: JobStageKind | null
  readonly wakeAtMs: number | null
  readonly round: number
  /** When this stage's present wait began, and its present row of failures; they bound both. */
  readonly waitSinceMs: number | null
  readonly failingSinceMs: number | null
  /** What the job waits for, in words, for people. */
  readonly waitsFor: string | null
  /** Since when nothing more is wanted of it: its next step before its disks are read is its end. Null: it is wanted. */
  readonly cancelRequestedAt: string | null
  /** Fixed on entering 'releasing'. */
  readonly outcome: Outcome | null
  /** When the window of its schedule closes: a job that has not begun to capture by then is skipped. ISO 8601, UTC; null: never. */
  readonly beginBefore: string | null
  readonly owes: readonly Debt[]
  /** When every freeze of this job must have ended by our clock; null while none may hold. */
  readonly freezeDeadlineMs: number | null
  /** How many freezes were begun: each has its number, from 1, and is used once. */
  readonly freezes: number
  /** What the VM stands on, as last seen, and what its mover may use; null before that was looked at. */
  readonly footing: Footing | null
  readonly grant: MoverGrant | null
  readonly guest: GuestState | null
  /** What was collected where something failed, for people to read. */
  readonly evidence: readonly Evidence[]
  readonly notices: readonly Notice[]
  /** Whether changed block tracking may be used by this attempt, and why not. */
  readonly tracking: { readonly active: boolean; readonly reason: string | null }
  readonly excludedDisks: readonly ExcludedDisk[]
  readonly capture: Capture | null
  /** Null before the first look. */
  readonly snapshotWatch: SnapshotWatch | null
  /** Since when disks run on deltas that a snapshot we owe would explain, and the tree does not show it; null: not seen so. */
  readonly unlistedSinceMs: number | null
  readonly pointId: PointId | null
  readonly times: JobTimes
  readonly counts: JobCounts
  readonly usage: JobUsage
}

/** Progress of one disk in the mover. */
export type DiskProgress = {
  readonly key: number
  readonly label: string
  readonly totalBytes: number
  readonly doneBytes: number
  readonly transport: string
}

/**
 * The mover's own record of an attempt, written by it alone once it holds it. `heldUntilMs` is renewed while it works;
 * a mover that could not renew stops reading before it passes.
 */
export type Attempt = {
  readonly jobId: JobId
  readonly attempt: number
  readonly holder: string
  readonly heldUntilMs: number
  readonly progress: readonly DiskProgress[]
  /** What its movers have used, all that held it together. */
  readonly usage: Usage
  readonly result:
    | null
    | {
        readonly kind: 'sealed'
        readonly pointId: PointId
        readonly sequence: number
        readonly counts: JobCounts
        readonly notices: readonly Notice[]
        /** Of disks that were audited. */
        readonly audits: readonly { readonly key: number; readonly label: string; readonly audit: DiskAudit }[]
        /** What is wrong with changed block tracking, for those who can mend it; null when nothing is. */
        readonly trackingFault: TrackingFault | null
      }
    | {
        readonly kind: 'failed'
        readonly code: string
        readonly message: string
        readonly hint: string | null
        readonly retry: 'no' | 'later' | 'as-full'
      }
}

/** When watch must look at a job: its message counts as lost, or a freeze should be over. Null when it is done. */
export function dueAtMs({
  state,
  wakeAtMs,
  freezeDeadlineMs,
}: Pick<Job, 'state' | 'wakeAtMs' | 'freezeDeadlineMs'>): number | null {
  if (state === 'done') return null
  return wakeAtMs === null ? freezeDeadlineMs : Math.min(wakeAtMs, freezeDeadlineMs ?? wakeAtMs)
}
