// A claimed job: the only way to change its record while a stage works on it.

import { isDeepStrictEqual } from 'node:util'
import { BackupError, messageOf } from '../base/errors.ts'
import { anySignal, type Cancel, withTimeLimit } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import type { Versioned } from '../ports/job-store.ts'
import type { StageDeps } from './deps.ts'
import { withWake } from './send.ts'

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

/** How often a write is tried again over one of ours whose answer was lost, or over watch's. */
const WRITES_MAX = 3

/**
 * Takes the claim on a job by one conditional write and keeps it alive.
 * @returns null when somebody else was faster
 */
export async function holdJob(
  found: Versioned<Job>,
  deps: StageDeps,
  options: { readonly invocation: string; readonly stage: Job['nextStage'] & string } & Cancel,
): Promise<JobHold | null> {
  const { clock, limits } = deps
  const lost = new AbortController()
  const signal = anySignal([options.signal, lost.signal])
  const { stage, invocation } = options
  const claim = () => ({ stage, invocation, untilMs: clock.nowMs() + limits.claimMs })
  // Whoever had the claim died without a word: that counts as a failure, so that dying again and again has an end.
  const died = found.value.claim !== null && found.value.failingSinceMs === null
  const failingSinceMs = died ? clock.nowMs() : found.value.failingSinceMs
  // The wake-up moves on with each beat: a job that is worked on is not overdue, and crowds out none that is.
  const claimed = (job: Job): Job => withWake({ ...job, claim: claim() }, deps, 0)
  const first = await replaceJob({ ...found, value: claimed({ ...found.value, failingSinceMs }) }, deps, options)
  if ('other' in first) return null
  let current = first.written
  let writtenMs = clock.monotonicMs()

  const write = async (change: (job: Job) => Job, cancel: Cancel): Promise<Job> => {
    for (let tries = 1; ; tries++) {
      const answer = await replaceJob({ value: change(current.value), version: current.version }, deps, cancel)
      if ('written' in answer) {
        current = answer.written
        writtenMs = clock.monotonicMs()
        return current.value
      }
      const { other } = answer
      // A write of ours whose answer was lost, or watch's beside us: the claim tells whose job it is.
      if (other === null || other.value.claim?.invocation !== invocation || tries === WRITES_MAX) {
        const error = claimLost(current.value)
        lost.abort(error)
        throw error
      }
      current = other
    }
  }
  let turn: Promise<unknown> = Promise.resolve()
  const update = (change: (job: Job) => Job, cancel: Cancel): Promise<Job> => {
    const written = turn.then(() => write(change, cancel))
    turn = written.catch(() => undefined)
    return written
  }
  const beat = async (): Promise<void> => {
    try {
      const limited = { signal: withTimeLimit(signal, limits.claimMs / 3) }
      await update(claimed, limited)
    } catch (error) {
      deps.log.warn('claim.heartbeat-failed', { message: messageOf(error) })
      // Whoever finds the claim lapsed takes over: from then on nothing may be done here.
      if (clock.monotonicMs() - writtenMs >= limits.claimMs) lost.abort(claimLost(current.value))
    }
  }
  return { job: () => current.value, update, stop: startHeartbeat(beat, deps, signal), signal }
}

type Written = { readonly written: Versioned<Job> } | { readonly other: Versioned<Job> | null }

/** @returns what is now in the store: this write (also one that a client repeated for itself), or somebody's */
async function replaceJob(next: Versioned<Job>, { jobStore }: StageDeps, cancel: Cancel): Promise<Written> {
  const written = { value: next.value, version: next.version + 1 }
  if ((await jobStore.jobs.replace(next.value.id, next, cancel)) === 'replaced') return { written }
  const other = await jobStore.jobs.get(next.value.id, cancel)
  if (other?.version === written.version && isDeepStrictEqual(other.value, written.value)) return { written }
  return { other }
}

/** The next beat follows also one that failed, until the hold is stopped or lost. */
function startHeartbeat(beat: () => Promise<void>, deps: StageDeps, signal: AbortSignal): () => void {
  const stopped = new AbortController()
  const either = anySignal([signal, stopped.signal])
  const run = async () => {
    for (;;) {
      await deps.clock.sleep(deps.limits.claimMs / 3, { signal: either })
      // The sleep may have ended in the same moment as the stage.
      if (either.aborted) return
      await beat()
    }
  }
  run().catch((error: unknown) => {
    if (!either.aborted) deps.log.error('claim.heartbeat-ended', error)
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
