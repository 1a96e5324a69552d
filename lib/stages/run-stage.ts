// The frame around every stage: load, claim, let the stage act, move the state by one write, then send.

import { BackupError, hasCode, messageOf } from '../base/errors.ts'
import { type Cancel, isAbort } from '../base/time-limit.ts'
import { advance, isBeforeCommit, type JobEvent } from '../model/advance.ts'
import { cancelledJob, isCancelled } from '../model/cancel.ts'
import type { Job } from '../model/job.ts'
import type { JobMessage, JobStageKind, StageMessage } from '../model/message.ts'
import type { Usage } from '../model/usage.ts'
import { abandon } from './abandon.ts'
import { alarm } from './alarm.ts'
import { capture } from './capture.ts'
import { commit } from './commit.ts'
import type { StageDeps } from './deps.ts'
import { finish } from './finish.ts'
import { boundedWait, givingUp, hasFailedTooLong, interruptedTooLong } from './giving-up.ts'
import { holdJob, type JobHold } from './hold.ts'
import { stageUsage, withUsage } from './job-usage.ts'
import { operate } from './operate.ts'
import { firstBackupError, outcomeOfError } from './outcome-of-error.ts'
import { renewPlaces } from './places.ts'
import { plan } from './plan.ts'
import { prepare } from './prepare.ts'
import { release } from './release.ts'
import { sendAgainIfOverdue, sendNext, withWake } from './send.ts'
import { movedBy, type Stage, type Step } from './step.ts'
import { tellMove } from './tell.ts'
import { transfer } from './transfer.ts'

const STAGES: Readonly<Record<JobStageKind, Stage>> = { prepare, capture, transfer, commit, release, finish }

/**
 * Handles one message. Returning means that the message is done with; throwing, that it is to be delivered again.
 * Every message may come twice, late, or out of order.
 * @param options.invocation who works: unique per call
 */
export async function handleMessage(
  message: StageMessage,
  deps: StageDeps,
  options: Cancel & { readonly invocation: string },
): Promise<void> {
  switch (message.kind) {
    case 'alarm':
      return alarm(message, deps, options)
    case 'plan':
      return plan(message, deps, options)
    case 'abandon':
      return abandon(message, deps, options)
    case 'operate':
      return operate(message, deps, options)
    default:
      return runJobStage(message, deps, options)
  }
}

async function runJobStage(
  message: JobMessage,
  deps: StageDeps,
  options: Cancel & { readonly invocation: string },
): Promise<void> {
  const found = await deps.jobStore.jobs.get(message.jobId, options)
  if (found === null) {
    throw new BackupError(`Cannot ${message.kind} job "${message.jobId}": there is no such job`, {
      code: 'job-unknown',
    })
  }
  const job = found.value
  const nowMs = deps.clock.nowMs()
  if (job.claim !== null && deps.isClaimLive(job.claim, nowMs)) return
  if (job.nextStage !== message.kind || job.attempt !== message.attempt || job.round !== message.round) {
    // A late copy. If the message that is due now was lost between the write and the send, this copy stands in for it.
    await sendAgainIfOverdue(found, deps, options)
    return
  }
  const hold = await holdJob(found, deps, { ...options, stage: message.kind })
  if (hold === null) return

  try {
    await workOn(hold, { deps, message, tookOver: job.claim !== null })
  } finally {
    hold.stop()
  }
}

type Work = { readonly deps: StageDeps; readonly message: JobMessage; readonly tookOver: boolean }

async function workOn(hold: JobHold, work: Work): Promise<void> {
  const { deps, message } = work
  const log = deps.log.with({
    job: message.jobId,
    vm: hold.job().vm.name,
    stage: message.kind,
    attempt: message.attempt,
  })
  const startedMs = deps.clock.monotonicMs()
  let step: Step
  try {
    if (work.tookOver && hasFailedTooLong(hold.job(), deps)) {
      step = givingUp(hold.job(), interruptedTooLong(hold.job()), deps)
    } else if (isCancelled(hold.job())) {
      step = movedBy({ kind: 'failed', outcome: cancelledJob(hold.job()) })
    } else {
      await renewPlaces(hold.job(), deps, hold)
      step = await STAGES[message.kind](hold, { ...deps, log }, { signal: hold.signal, tookOver: work.tookOver })
    }
  } catch (error) {
    step = await stepAfterError(error, hold, { ...deps, log })
  }
  hold.stop()
  const elapsedMs = Math.round(deps.clock.monotonicMs() - startedMs)
  step = boundedWait(step, hold.job(), deps)
  const used = stageUsage(deps, elapsedMs)
  if (step.kind === 'again') {
    const { delayMs } = step
    const again = step
    const next = await hold.update((job) => withUsage(waiting(job, again, deps), used), hold)
    await sendNext(next, deps, { delayMs, signal: hold.signal })
    return
  }
  const before = hold.job()
  const next = await moveJob(step.events, hold, { deps: { ...deps, log }, used })
  log.info('stage.done', { state: next.state, elapsedMs })
  await tellMove({ before, job: next }, { ...deps, log }, hold)
  await sendNext(next, deps, { delayMs: 0, signal: hold.signal })
}

/** What a stage brought may not fit the record. That is as it was then, and can still say so: trying again would bring the same. */
async function moveJob(
  events: readonly JobEvent[],
  hold: JobHold,
  { deps, used }: { readonly deps: StageDeps; readonly used: Usage },
): Promise<Job> {
  const moveBy = (some: readonly JobEvent[]) => (job: Job) =>
    withUsage(withWake({ ...applied(job, some), claim: null }, deps, 0), used)
  try {
    return await hold.update(moveBy(events), hold)
  } catch (error) {
    if (!hasCode(error, 'state-record-too-large')) throw error
    deps.log.error('stage.record-too-large', error)
    return await hold.update(moveBy(givingUp(hold.job(), outcomeOfError(error), deps).events), hold)
  }
}

function applied(job: Job, events: readonly JobEvent[]): Job {
  return events.reduce(advance, job)
}

function waiting(job: Job, step: Extract<Step, { kind: 'again' }>, deps: StageDeps): Job {
  const round = job.round + 1
  const nowMs = deps.clock.nowMs()
  const waitSinceMs = job.waitSinceMs ?? nowMs
  const failingSinceMs = step.failing ? (job.failingSinceMs ?? nowMs) : null
  return withWake(
    { ...job, claim: null, round, waitSinceMs, failingSinceMs, waitsFor: step.waitsFor },
    deps,
    step.delayMs,
  )
}

/**
 * The world's errors become a wait or the job's outcome. Broken code and a lost claim are thrown on; broken code that is
 * still broken after the time of a stage ends the job, too, whatever becomes of its messages.
 */
async function stepAfterError(error: unknown, hold: JobHold, deps: StageDeps): Promise<Step> {
  const job = hold.job()
  if (hold.signal.aborted) {
    await dropClaim(hold, job.failingSinceMs)
    throw error
  }
  const isWorld = error instanceof BackupError || error instanceof AggregateError || isAbort(error)
  if (!isWorld && !hasFailedTooLong(job, deps)) {
    await dropClaim(hold, job.failingSinceMs ?? deps.clock.nowMs())
    throw error
  }
  const cause = firstBackupError(error)
  const mayWait = isWorld && (!isBeforeCommit(job.state) || (cause?.retry ?? 'later') === 'later')
  deps.log.error('stage.failed', error, { round: job.round, failingSinceMs: job.failingSinceMs })
  if (mayWait && !hasFailedTooLong(job, deps)) {
    if (hasCode(cause, 'snapshot-failed')) {
      // Each may have stunned the VM: attempts bound it, not time.
      if (job.attempt >= job.policy.attemptsMax) return givingUp(job, outcomeOfError(cause), deps)
      await hold.update((each) => ({ ...each, attempt: each.attempt + 1 }), hold)
    }
    const delayMs = Math.min(deps.limits.againMostMs, deps.limits.againFirstMs * 2 ** Math.min(job.round, 10))
    return { kind: 'again', delayMs, waitsFor: `another try: ${messageOf(cause ?? error)}`, failing: true }
  }
  return givingUp(job, outcomeOfError(cause ?? error), deps)
}

/** Lets a successor start at once; if even this fails the claim lapses by its time. */
async function dropClaim(hold: JobHold, failingSinceMs: number | null): Promise<void> {
  try {
    await hold.update((job) => ({ ...job, claim: null, failingSinceMs }), { signal: AbortSignal.timeout(5_000) })
  } catch {
    // The claim is lost or the store is away: either way it ends by its time.
  }
}
