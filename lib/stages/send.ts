// The wake-up of a job's next stage: the record says when it is due, the message wakes it.

import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import type { Run } from '../model/run.ts'
import type { Versioned } from '../ports/job-store.ts'
import type { StageDeps } from './deps.ts'
import { tellState } from './tell.ts'

const DELAY_MS_MAX = 900_000

/** Notes in the record when the next message counts as lost; null when no stage is left. */
export function withWake(job: Job, deps: StageDeps, delayMs: number): Job {
  return { ...job, wakeAtMs: job.nextStage === null ? null : deps.clock.nowMs() + delayMs + deps.limits.overdueMs }
}

/** Sends the message that the record says is next; nothing for a job that is done. */
export async function sendNext(
  job: Job,
  deps: StageDeps,
  options: Cancel & { readonly delayMs: number },
): Promise<void> {
  if (job.nextStage === null) return
  const delayMs = Math.min(options.delayMs, DELAY_MS_MAX)
  await deps.sender.send(
    { v: 1, kind: job.nextStage, jobId: job.id, attempt: job.attempt, round: job.round },
    { delayMs },
    options,
  )
}

/**
 * Sends once more what is overdue. The write keeps everybody else from doing the same at once: copies never multiply.
 * @returns whether it was sent
 */
export async function sendAgainIfOverdue(found: Versioned<Job>, deps: StageDeps, cancel: Cancel): Promise<boolean> {
  const { value: job, version } = found
  if (job.nextStage === null || job.wakeAtMs === null || job.wakeAtMs > deps.clock.nowMs()) return false
  const value = withWake(job, deps, 0)
  if ((await deps.jobStore.jobs.replace(job.id, { value, version }, cancel)) === 'conflict') return false
  const lateMs = deps.clock.nowMs() - job.wakeAtMs
  deps.log.warn('job.overdue', { job: job.id, state: job.state, stage: job.nextStage, lateMs })
  if (job.round === 0) await tellState(value, deps, cancel)
  await sendNext(value, deps, { delayMs: 0, ...cancel })
  return true
}

/** The same for a run that nobody has planned yet. */
export async function planAgainIfOverdue(found: Versioned<Run>, deps: StageDeps, cancel: Cancel): Promise<boolean> {
  const { state, wakeAtMs } = found.value
  if (state !== 'requested' || (wakeAtMs ?? 0) > deps.clock.nowMs()) return false
  return planLater(found, deps, { delayMs: 0, ...cancel })
}

/** Wakes plan after a while. @returns whether this call did; somebody else was faster if not */
export async function planLater(
  found: Versioned<Run>,
  deps: StageDeps,
  options: Cancel & { readonly delayMs: number },
): Promise<boolean> {
  const { id } = found.value
  const delayMs = Math.min(options.delayMs, DELAY_MS_MAX)
  const value: Run = { ...found.value, wakeAtMs: deps.clock.nowMs() + delayMs + deps.limits.overdueMs }
  if ((await deps.jobStore.runs.replace(id, { value, version: found.version }, options)) === 'conflict') return false
  await deps.sender.send({ v: 1, kind: 'plan', runId: id }, { delayMs }, options)
  return true
}
