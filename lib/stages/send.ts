// The wake-up of a job's next stage: the record says when it is due, the message wakes it.

import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import type { StageDeps } from './deps.ts'

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
