// transfer: starts the mover, waits for its sealed candidate, and starts another when one dies.

import { isoTime } from '../base/clock.ts'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { sessionIdOf } from '../model/ids.ts'
import type { Attempt, Job } from '../model/job.ts'
import type { Notice } from '../model/outcome.ts'
import type { TaskState } from '../ports/tasks.ts'
import type { StageDeps } from './deps.ts'
import { guardSnapshot } from './growth-guard.ts'
import type { JobHold } from './hold.ts'
import { changedDuringRead } from './last-look.ts'
import { START_AGAIN } from './outcome-of-error.ts'
import { moverOf, startMover } from './start-mover.ts'
import { movedBy, type Step } from './step.ts'

export async function transfer(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Step> {
  if (hold.job().state === 'captured') {
    const ended = await guardSnapshot(hold, deps, cancel)
    return ended === null ? startMover(hold, deps, cancel) : movedBy({ kind: 'failed', outcome: ended })
  }
  const job = hold.job()
  const attempt = await deps.jobStore.attempts.get(sessionIdOf(job.id, job.attempt), cancel)
  const result = attempt?.value.result ?? null
  if (result !== null) return afterResult(job, result, { deps, cancel })
  // What is sealed counts; what is still read for too long does not. release stops the mover before the snapshot goes.
  const ended = await guardSnapshot(hold, deps, cancel)
  if (ended !== null) return movedBy({ kind: 'failed', outcome: ended })
  const mover = moverOf(job)
  if (mover === null) throw moverUnknown(job)
  const state = mover.taskId === null ? { kind: 'unknown' as const } : await deps.tasks.describe(mover.taskId, cancel)
  if (state.kind === 'running' && !isSilent(job, attempt?.value ?? null, deps)) {
    return poll(job, deps, 'the mover, which reads the disks')
  }
  // It may have sealed between the two looks.
  const last = await deps.jobStore.attempts.get(sessionIdOf(job.id, job.attempt), cancel)
  if (last !== null && last.value.result !== null) return afterResult(job, last.value.result, { deps, cancel })
  const nowMs = deps.clock.nowMs()
  // A task that was just started may not be listed yet, and its mover may not hold the attempt yet.
  const goneMs = Math.max(last?.value.heldUntilMs ?? 0, job.waitSinceMs ?? nowMs) + deps.limits.moverMarginMs
  if (state.kind === 'unknown' && goneMs > nowMs) return poll(job, deps, 'the hold of a mover that gives no word')
  if (state.kind === 'running' && mover.taskId !== null) await deps.tasks.stop(mover.taskId, cancel)
  const reason = describeEnd(state)
  const notice = {
    code: 'mover-died',
    message: `The mover of VM "${job.vm.name}" ended without a result: ${reason}`,
    hint: 'Its log tells more; the disks are read again from the same snapshot',
  }
  return afterFailure(job, { notice, passes: true }, { deps, cancel })
}

/** A task that runs but let its hold lapse reads no more: it stopped by its own clock, or hangs. */
function isSilent(job: Job, attempt: Attempt | null, { clock, limits }: StageDeps): boolean {
  const nowMs = clock.nowMs()
  const sinceMs = attempt?.heldUntilMs ?? (job.waitSinceMs ?? nowMs) + limits.moverStartMs
  return nowMs > sinceMs + limits.moverMarginMs
}

function describeEnd(state: TaskState): string {
  if (state.kind === 'stopped') return state.reason
  return state.kind === 'running' ? 'it runs but no longer holds its attempt, and was stopped' : 'nobody knows its task'
}

function moverUnknown({ id, attempt }: Job): BackupError {
  return new BackupError(`Cannot follow the mover of job "${id}": its record names none for attempt ${attempt}`, {
    code: 'mover-unknown',
  })
}

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

async function afterResult(job: Job, result: NonNullable<Attempt['result']>, call: Call): Promise<Step> {
  if (result.kind === 'failed') {
    const notice = { code: result.code, message: result.message, hint: result.hint ?? START_AGAIN }
    return afterFailure(job, { notice, passes: result.retry !== 'no' }, call)
  }
  const { pointId, counts, notices } = result
  return movedBy({ kind: 'transferred', pointId, counts, notices, at: isoTime(call.deps.clock.nowMs()) })
}

/**
 * Another mover on the same snapshot while attempts are left and it is still what was captured; the point does not carry a mended
 * failure as a notice. A snapshot that somebody changed is the cause to tell, whatever its reader met.
 */
async function afterFailure(
  job: Job,
  { notice, passes }: { readonly notice: Notice; readonly passes: boolean },
  { deps, cancel }: Call,
): Promise<Step> {
  const ended = await changedDuringRead(job, deps, cancel)
  if (ended !== null) {
    deps.log.warn('snapshot.changed', { failed: notice.message, message: ended.message })
    return movedBy({ kind: 'failed', outcome: ended })
  }
  return passes && job.attempt < job.policy.attemptsMax
    ? movedBy({ kind: 'transfer-again', notice: null })
    : movedBy({ kind: 'failed', outcome: { kind: 'failed', ...notice } })
}

/** Each look writes the record several times: the longer it takes, the rarer they become. */
function poll(job: Job, deps: StageDeps, waitsFor: string): Step {
  return { kind: 'again', delayMs: deps.limits.pollMs * 2 ** Math.min(job.round, 3), waitsFor }
}
