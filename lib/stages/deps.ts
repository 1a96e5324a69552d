// What stages act through, and the limits they keep. No code.

import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type AdmissionLimits, defaultAdmissionLimits } from '../model/admission.ts'
import type { Claim } from '../model/job.ts'
import type { PriceTable } from '../model/prices.ts'
import type { GuestCredentials, GuestNetwork } from '../ports/guest.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { Events, Log, Metrics } from '../ports/log.ts'
import type { Meter } from '../ports/meter.ts'
import type { Notifier } from '../ports/notifier.ts'
import type { MessageSender } from '../ports/queue.ts'
import type { Tasks } from '../ports/tasks.ts'
import type { Vsphere } from '../ports/vsphere.ts'
import type { Repository } from '../repository/repository.ts'

export type StageLimits = {
  /** How long a claim holds without a heartbeat; the heartbeat comes three times in it. */
  readonly claimMs: number
  /** After this long beyond its due time a message counts as lost and watch sends it again. */
  readonly overdueMs: number
  /** How long a job's places in shared resources hold; every stage renews them. */
  readonly placeMs: number
  /** How long a job counts as waiting for a place without looking again; longer than the longest wait between two looks. */
  readonly waiterMs: number
  /** How many jobs may be between prepare and release at once: no snapshot waits for a mover. */
  readonly moversMax: number
  /** How much of a vCenter, its hosts and its datastores all jobs together may take. */
  readonly admission: AdmissionLimits
  /** How often a mover is asked for, and how often a long vSphere task. */
  readonly pollMs: number
  /** The first and the longest wait before a stage is tried again after a failure that may pass. */
  readonly againFirstMs: number
  readonly againMostMs: number
  /** How long one stage may go on waiting or failing before the job fails. */
  readonly stageMs: number
  /** How long a mover may take, all its attempts on one snapshot together. */
  readonly transferMs: number
  /** How long release goes on trying before it hands the rest to hunt. */
  readonly releaseMs: number
  /** How long a VM that is busy (another job, another product's task) is waited for. */
  readonly busyMs: number
  /** The longest that one capture may take, its snapshot task included. */
  readonly captureMs: number
  /** How often a snapshot is looked at while its disks are read: its age, its growth, its datastores. */
  readonly growthLookMs: number
  /** How long a snapshot that was begun may be missing in the VM's tree while the disks run on deltas. */
  readonly listMs: number
  /** How long a stage waits for one task of vCenter before it comes back to it later. */
  readonly taskWaitMs: number
  /** How often a quiesced snapshot is tried before the next rung of the ladder, and the wait between. */
  readonly quiesceTries: number
  readonly quiesceWaitMs: number
  /** How long a mover may take from its start to its first hold. */
  readonly moverStartMs: number
  /** Added to a mover's hold before it counts as gone without word. */
  readonly moverMarginMs: number
  /** How long a guest's addresses may take to answer, and how long one way in may take to open. */
  readonly guestProbeMs: number
  readonly guestOpenMs: number
  /** The longest that putting something into a guest, or taking it out, may take. */
  readonly guestSetupMs: number
  /** How late a guest may begin to freeze after it was told to: a call that comes later freezes nothing. */
  readonly freezeStartMs: number
  /** The longest that one call to thaw may take on its way, besides the script itself. */
  readonly thawCallMs: number
  /** Beyond the limit of a freeze: watch calls the guest after it; a guest that cannot be reached is left to its own timer. */
  readonly thawMarginMs: number
  /** How long finish goes on trying to clean up in a guest that does not answer. */
  readonly cleanupMs: number
  /** How often one job may freeze its guest, all its tries and attempts together. */
  readonly freezesMax: number
}

export const defaultStageLimits: StageLimits = {
  claimMs: 60_000,
  overdueMs: 60_000,
  placeMs: 2 * 3_600_000,
  waiterMs: 900_000,
  moversMax: 200,
  admission: defaultAdmissionLimits,
  pollMs: 15_000,
  againFirstMs: 5_000,
  againMostMs: 300_000,
  stageMs: 3_600_000,
  transferMs: 7 * 24 * 3_600_000,
  releaseMs: 24 * 3_600_000,
  busyMs: 6 * 3_600_000,
  captureMs: 840_000,
  growthLookMs: 60_000,
  listMs: 60_000,
  taskWaitMs: 60_000,
  quiesceTries: 3,
  quiesceWaitMs: 5_000,
  moverStartMs: 900_000,
  moverMarginMs: 30_000,
  guestProbeMs: 3_000,
  guestOpenMs: 20_000,
  guestSetupMs: 120_000,
  freezeStartMs: 30_000,
  thawCallMs: 30_000,
  thawMarginMs: 1_000,
  cleanupMs: 300_000,
  freezesMax: 12,
}

export type StageDeps = {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
  /** What stages use; of two at once in one program neither is told apart. */
  readonly meter: Meter
  readonly events: Events
  readonly notifier: Notifier
  readonly jobStore: JobStore
  readonly sender: MessageSender
  readonly vsphere: Vsphere
  readonly tasks: Tasks
  readonly guests: GuestNetwork
  /** The account that a policy names. @throws BackupError `secret-missing`, `credentials-malformed` */
  readonly guestAccount: (name: string, cancel: Cancel) => Promise<GuestCredentials>
  /** Opened when first needed: only commit needs it. */
  readonly repository: (cancel: { readonly signal: AbortSignal }) => Promise<Repository>
  readonly limits: StageLimits
  readonly prices: PriceTable
  /** The VM that movers run in, by reference or instance uuid, for disks that VDDK attaches to it; null: there is none. */
  readonly moverVm: string | null
  /** Whether whoever made this claim may still be at work. */
  readonly isClaimLive: (claim: Claim, nowMs: number) => boolean
}

/** A claim lives until its time has passed. One machine's engine knows more: its predecessor's claims are dead. */
export function claimLivesUntilItsTime(claim: Claim, nowMs: number): boolean {
  return claim.untilMs > nowMs
}
