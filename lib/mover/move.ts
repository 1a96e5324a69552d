// The mover: takes an attempt, reads the snapshot's disks into the repository, and leaves a sealed candidate. It never
// publishes: that is the commit stage's.

import { BackupError, quote } from '../base/errors.ts'
import { retry } from '../base/retry.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type JobId, sessionIdOf } from '../model/ids.ts'
import type { Capture, Job } from '../model/job.ts'
import { addUsage, type Usage } from '../model/usage.ts'
import { readCandidate } from '../repository/candidate.ts'
import { failedResult, sealedResult } from './attempt-result.ts'
import type { MoverDeps, TaskSize } from './deps.ts'
import { type AttemptResult, HOLD_TIMES, type Hold, openHold } from './hold.ts'
import { storeDisks } from './store-disks.ts'

export type MoveRequest = { readonly jobId: JobId; readonly attempt: number; readonly holder: string }

/**
 * Moves one attempt of a job. A failure of the world is written as the attempt's result, not thrown; repeating a finished
 * attempt gives its result again.
 * @throws BackupError `attempt-held`, `attempt-lost`, `job-not-found`, or the caller's reason: then the attempt has no result
 */
export async function moveJob(request: MoveRequest, deps: MoverDeps, cancel: Cancel): Promise<AttemptResult> {
  const { clock, jobs, random } = deps
  const log = deps.log.with({ job: request.jobId, attempt: request.attempt })
  const startedMs = clock.monotonicMs()
  const usage = () => addUsage(deps.meter.total(), taskUsage(deps.settings.taskSize, clock.monotonicMs() - startedMs))
  await using hold = await openHold(
    { ...request, times: deps.settings.times ?? HOLD_TIMES },
    { jobs, clock, log, usage },
    cancel,
  )

  if (hold.earlierResult !== null) return hold.earlierResult
  const result = await attemptMove({ request, hold, usage }, { ...deps, log }).catch((error: unknown) => {
    if (hold.signal.aborted) throw hold.signal.reason
    log.error('mover.failed', error)
    return failedResult(error)
  })
  const patience = { attemptsMax: 5, firstMs: 500, mostMs: 5_000, clock, random, signal: hold.signal }
  await retry(() => hold.finish(result, cancel), {
    ...patience,
    retryable: (error) => !(error instanceof BackupError && error.code === 'attempt-lost'),
  })
  log.info('mover.ended', { result: result.kind })
  return result
}

async function attemptMove(
  { request, hold, usage }: { readonly request: MoveRequest; readonly hold: Hold; readonly usage: () => Usage },
  deps: MoverDeps,
): Promise<AttemptResult> {
  const { repository } = deps
  const cancel = { signal: hold.signal }
  const { job, capture } = await loadJob(request, deps, cancel)
  const sessionId = sessionIdOf(job.id, job.attempt)
  const earlier = await readCandidate({ repository, sessionId }, cancel)
  if (earlier !== null) return sealedResult(earlier, job.notices.length)
  const anew = job.full ? 'asked' : (await foundDamage(job, deps, cancel)) ? 'damaged' : null
  const point = await storeDisks(
    { job, capture, sessionId, anew, report: (progress) => hold.report(progress), usage },
    deps,
    cancel,
  )
  return sealedResult(point, job.notices.length)
}

function taskUsage(size: TaskSize | null, elapsedMs: number): Partial<Usage> {
  return size === null ? {} : { taskVcpuMs: size.vcpus * elapsedMs, taskGbMs: size.memoryGb * elapsedMs }
}

async function loadJob(
  { jobId, attempt }: MoveRequest,
  { jobs }: MoverDeps,
  cancel: Cancel,
): Promise<{ readonly job: Job; readonly capture: Capture }> {
  const found = await jobs.jobs.get(jobId, cancel)
  if (found === null) {
    throw new BackupError(`Cannot move job ${quote(jobId)}: there is none`, {
      code: 'job-not-found',
      kind: 'not-found',
    })
  }
  const job = found.value
  if (job.attempt !== attempt || job.capture === null) {
    throw new BackupError(
      `Cannot move attempt ${quote(String(attempt))} of job ${quote(jobId)}: the job is at attempt ${quote(String(job.attempt))}`,
      {
        code: 'attempt-over',
        facts: { attempt, now: job.attempt, captured: job.capture !== null },
      },
    )
  }
  // A container that came late must not read what is being given back.
  if (job.state !== 'captured' && job.state !== 'transferring') {
    throw new BackupError(`Cannot move job ${quote(jobId)}: it is ${quote(job.state)}, nobody waits for its disks`, {
      code: 'attempt-over',
      facts: { attempt, state: job.state },
    })
  }
  return { job, capture: job.capture }
}

/** Any attempt before may have found that what it continued is damaged: then nothing is continued, whatever failed since. */
async function foundDamage(job: Job, { jobs }: MoverDeps, cancel: Cancel): Promise<boolean> {
  for (let attempt = job.attempt - 1; attempt >= 1; attempt--) {
    const result = (await jobs.attempts.get(sessionIdOf(job.id, attempt), cancel))?.value.result ?? null
    if (result?.kind === 'failed' && result.retry === 'as-full') return true
  }
  return false
}
