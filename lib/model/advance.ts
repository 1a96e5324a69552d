// The one function that moves a job on. Pure: an event that no longer fits changes nothing and is no error.

import { unreachable } from '../base/errors.ts'
import type { PointId } from './ids.ts'
import type { Capture, Job, JobCounts, JobState } from './job.ts'
import type { JobStageKind } from './message.ts'
import type { Notice, Outcome } from './outcome.ts'

export type JobEvent =
  | { readonly kind: 'prepare-started'; readonly at: string }
  | { readonly kind: 'prepared'; readonly tracking: Job['tracking'] }
  /** Nothing to do for this VM; only while nothing is owed. */
  | { readonly kind: 'skipped'; readonly outcome: Outcome; readonly at: string }
  | {
      readonly kind: 'captured'
      readonly capture: Capture
      readonly notices: readonly Notice[]
      readonly at: string
    }
  | { readonly kind: 'transfer-started' }
  | {
      readonly kind: 'transferred'
      readonly pointId: PointId
      readonly counts: JobCounts
      readonly notices: readonly Notice[]
      readonly at: string
    }
  /** The candidate may not be published but the snapshot still serves: read again. */
  | { readonly kind: 'candidate-refused'; readonly notice: Notice }
  | { readonly kind: 'committed'; readonly at: string }
  /** The mover ended without a candidate and the snapshot still serves: another mover, as a new attempt. */
  | { readonly kind: 'transfer-again'; readonly notice: Notice | null }
  /** From any state before the commit: the outcome is fixed and everything owed is given back. */
  | { readonly kind: 'failed'; readonly outcome: Outcome }
  /** Everything owed is given back. */
  | { readonly kind: 'released'; readonly at: string; readonly notice: Notice | null }
  | { readonly kind: 'finished'; readonly at: string; readonly notices: readonly Notice[] }

/** The stage that works on a job in this state. */
export function stageOf(state: JobState): JobStageKind | null {
  switch (state) {
    case 'waiting':
    case 'preparing':
      return 'prepare'
    case 'capturing':
      return 'capture'
    case 'captured':
    case 'transferring':
      return 'transfer'
    case 'transferred':
      return 'commit'
    case 'committed':
    case 'releasing':
      return 'release'
    case 'finishing':
      return 'finish'
    case 'done':
      return null
    default:
      return unreachable(state)
  }
}

/** @returns the job after the event, or the same object when the event does not fit its state */
export function advance(job: Job, event: JobEvent): Job {
  switch (event.kind) {
    case 'prepare-started':
      return job.state === 'waiting'
        ? moved(job, { state: 'preparing', times: { ...job.times, startedAt: event.at } })
        : job
    case 'prepared':
      return job.state === 'preparing' ? moved(job, { state: 'capturing', tracking: event.tracking }) : job
    case 'skipped':
      return afterSkip(job, event)
    case 'captured':
      return job.state === 'capturing'
        ? moved(job, {
            state: 'captured',
            capture: event.capture,
            notices: [...job.notices, ...event.notices],
            times: { ...job.times, capturedAt: event.at },
          })
        : job
    case 'transfer-started':
      return job.state === 'captured' ? moved(job, { state: 'transferring' }) : job
    case 'transferred':
      return afterTransfer(job, event)
    case 'candidate-refused':
      return job.state === 'transferred' ? readAgain(job, event.notice) : job
    case 'transfer-again':
      return job.state === 'transferring' ? readAgain(job, event.notice) : job
    case 'committed':
      return job.state === 'transferred'
        ? moved(job, {
            state: 'committed',
            outcome: outcomeOfSuccess(job),
            times: { ...job.times, committedAt: event.at },
          })
        : job
    case 'failed':
      return isBeforeCommit(job.state) ? moved(job, { state: 'releasing', outcome: event.outcome }) : job
    case 'released':
      return afterRelease(job, event)
    case 'finished':
      return afterFinish(job, event)
    default:
      return unreachable(event)
  }
}

/** Whether a failure in this state still decides the job's outcome. */
export function isBeforeCommit(state: JobState): boolean {
  return state !== 'committed' && state !== 'releasing' && state !== 'finishing' && state !== 'done'
}

/** Every move wakes the next stage from its first round. */
function moved(job: Job, change: Partial<Job> & { readonly state: JobState }): Job {
  return {
    ...job,
    ...change,
    nextStage: stageOf(change.state),
    round: 0,
    waitSinceMs: null,
    failingSinceMs: null,
    waitsFor: null,
  }
}

function afterSkip(job: Job, event: Extract<JobEvent, { kind: 'skipped' }>): Job {
  if (job.state !== 'waiting' && job.state !== 'preparing') return job
  if (job.owes.length > 0) return moved(job, { state: 'releasing', outcome: event.outcome })
  return moved(job, { state: 'done', outcome: event.outcome, times: { ...job.times, doneAt: event.at } })
}

function afterTransfer(job: Job, event: Extract<JobEvent, { kind: 'transferred' }>): Job {
  if (job.state !== 'transferring') return job
  return moved(job, {
    state: 'transferred',
    pointId: event.pointId,
    counts: event.counts,
    notices: [...job.notices, ...event.notices],
    times: { ...job.times, transferredAt: event.at },
  })
}

/** The same snapshot, a new attempt: its session and client token are new, so an old mover cannot be taken for it. */
function readAgain(job: Job, notice: Notice | null): Job {
  const notices = notice === null ? job.notices : [...job.notices, notice]
  return moved(job, { state: 'captured', attempt: job.attempt + 1, pointId: null, notices })
}

function afterRelease(job: Job, event: Extract<JobEvent, { kind: 'released' }>): Job {
  if (job.state !== 'committed' && job.state !== 'releasing') return job
  const noticed = withNotices(job, event.notice === null ? [] : [event.notice])
  return moved(noticed, { state: 'finishing', times: { ...job.times, releasedAt: event.at } })
}

function afterFinish(job: Job, event: Extract<JobEvent, { kind: 'finished' }>): Job {
  if (job.state !== 'finishing') return job
  return moved(withNotices(job, event.notices), { state: 'done', times: { ...job.times, doneAt: event.at } })
}

/** After the commit a notice turns success into a warning; a failure stays what it is. */
export function withNotices(job: Job, notices: readonly Notice[]): Job {
  const [first] = notices
  if (first === undefined) return job
  const outcome = job.outcome?.kind === 'success' ? { ...first, kind: 'warning' as const } : job.outcome
  return { ...job, notices: [...job.notices, ...notices], outcome }
}

/** A point that was written with notices is a warning that names the first of them. */
function outcomeOfSuccess(job: Job): Outcome {
  const first = job.notices[0]
  if (first === undefined)
    return { kind: 'success', code: 'ok', message: `Restore point of "${job.vm.name}" written`, hint: null }
  return { kind: 'warning', code: first.code, message: first.message, hint: first.hint }
}
