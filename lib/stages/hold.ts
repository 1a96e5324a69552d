// A claimed job: the only way to change its record while a stage works on it.

import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import type { Versioned } from '../ports/job-store.ts'
import type { StageDeps } from './deps.ts'

export interface JobHold {
  /** As last written by this hold. */
  job(): Job
  /** Writes `change(job)`; calls are carried out one after the other. @throws BackupError `claim-lost` */
  update(change: (job: Job) => Job, cancel: Cancel): Promise<Job>
  /** Ends the heartbeat. The claim itself ends with the last update, or by its time. */
  stop(): void
  /** Aborted when the claim is lost. */
  readonly signal: AbortSignal
}

/**
 * Takes the claim on a job by one conditional write and keeps it alive.
 * @returns null when somebody else was faster
 */
export async function holdJob(
  found: Versioned<Job>,
  deps: StageDeps,
  options: { readonly invocation: string; readonly stage: Job['nextStage'] & string } & Cancel,
): Promise<JobHold | null> {
  const { clock, jobStore, limits } = deps
  const lost = new AbortController()
  const signal = AbortSignal.any([options.signal, lost.signal])
  const claim = () => ({
    stage: options.stage,
    invocation: options.invocation,
    untilMs: clock.nowMs() + limits.claimMs,
  })
  let current: Versioned<Job> = { value: { ...found.value, claim: claim() }, version: found.version }
  if ((await jobStore.jobs.replace(current.value.id, current, options)) === 'conflict') return null
  current = { ...current, version: current.version + 1 }

  let turn: Promise<unknown> = Promise.resolve()
  const update = (change: (job: Job) => Job, cancel: Cancel): Promise<Job> => {
    const write = async () => {
      const next = { value: change(current.value), version: current.version }
      if ((await jobStore.jobs.replace(next.value.id, next, cancel)) === 'conflict') {
        const error = claimLost(current.value)
        lost.abort(error)
        throw error
      }
      current = { value: next.value, version: next.version + 1 }
      return current.value
    }
    const written = turn.then(write)
    turn = written.catch(() => undefined)
    return written
  }
  const stop = startHeartbeat(() => update((job) => ({ ...job, claim: claim() }), { signal }), deps, signal)
  return { job: () => current.value, update, stop, signal }
}

function startHeartbeat(beat: () => Promise<unknown>, deps: StageDeps, signal: AbortSignal): () => void {
  const stopped = new AbortController()
  const either = AbortSignal.any([signal, stopped.signal])
  const run = async () => {
    while (!either.aborted) {
      await deps.clock.sleep(deps.limits.claimMs / 3, { signal: either })
      await beat()
    }
  }
  // A lost claim aborts the hold's signal; a failed beat is followed by the next, until the claim lapses.
  run().catch((error: unknown) => {
    if (!either.aborted) deps.log.warn('claim.heartbeat-failed', { message: String(error) })
  })
  return () => stopped.abort()
}

function claimLost(job: Job): BackupError {
  return new BackupError(
    `Cannot go on with job "${job.id}" of "${job.vm.name}": its record was changed by somebody else`,
    {
      code: 'claim-lost',
      hint: 'Nothing is to be done: whoever changed the record goes on with the job',
      facts: { job: job.id, state: job.state },
    },
  )
}
