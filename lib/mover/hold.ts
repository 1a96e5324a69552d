// Holding an attempt: one mover at a time, by conditional writes that are renewed while it works. A mover whose hold was
// taken, or that could not renew for the lease by its own monotonic clock, is told to stop by its signal.

import type { Clock } from '../base/clock.ts'
import { BackupError, messageOf } from '../base/errors.ts'
import { anySignal, type Cancel } from '../base/time-limit.ts'
import { type JobId, type SessionId, sessionIdOf } from '../model/ids.ts'
import type { Attempt, DiskProgress } from '../model/job.ts'
import { addUsage, NO_USAGE, type Usage } from '../model/usage.ts'
import type { JobStore, Versioned } from '../ports/job-store.ts'
import type { Log } from '../ports/log.ts'

export type HoldTimes = {
  readonly leaseMs: number
  readonly renewMs: number
  /** Progress is written at most this often. */
  readonly progressMs: number
}

export const HOLD_TIMES: HoldTimes = { leaseMs: 60_000, renewMs: 20_000, progressMs: 1_000 }

export type HoldRequest = {
  readonly jobId: JobId
  readonly attempt: number
  /** Unique to this process: the same holder takes its own hold again at once. */
  readonly holder: string
  readonly times: HoldTimes
}

export type HoldDeps = {
  readonly jobs: JobStore
  readonly clock: Clock
  readonly log: Log
  /** What this holder has used so far; written with every renewal. */
  readonly usage: () => Usage
}

export type AttemptResult = NonNullable<Attempt['result']>

export interface Hold extends AsyncDisposable {
  /** Aborted with `attempt-lost` when the attempt is no longer ours, or with the caller's reason. */
  readonly signal: AbortSignal
  /** Set when an earlier mover of this attempt already answered: nothing is left to do. */
  readonly earlierResult: AttemptResult | null
  report(progress: readonly DiskProgress[]): void
  /**
   * Writes the result and gives the hold back.
   * @throws BackupError `attempt-lost` when another took the attempt meanwhile
   */
  finish(result: AttemptResult, cancel: Cancel): Promise<void>
}

/**
 * Takes the attempt, or takes it over when its hold has lapsed; waits for a live hold to lapse once.
 * @throws BackupError `attempt-held` when another mover renews it
 */
export async function openHold(request: HoldRequest, deps: HoldDeps, cancel: Cancel): Promise<Hold> {
  const session = sessionIdOf(request.jobId, request.attempt)
  const taken = await take({ request, session }, deps, cancel)
  return new AttemptHold({ request, session, taken }, deps, cancel)
}

type Target = { readonly request: HoldRequest; readonly session: SessionId }

const GIVE_BACK_MS = 5_000

/** How often a lapsing hold is looked at again before it is called held. */
const LOOKS_MAX = 3

async function take({ request, session }: Target, deps: HoldDeps, cancel: Cancel): Promise<Versioned<Attempt>> {
  const { jobs, clock } = deps
  let seenVersion: number | null = null
  for (let look = 0; look < LOOKS_MAX; look++) {
    const found = await jobs.attempts.get(session, cancel)
    const startedMs = clock.nowMs()
    if (found === null) {
      const value = freshAttempt(request, startedMs)
      if ((await jobs.attempts.create(session, value, cancel)) === 'created') return { value, version: 1 }
      continue
    }
    if (found.value.result !== null) return found
    const waitMs = found.value.holder === request.holder ? 0 : found.value.heldUntilMs - startedMs
    if (waitMs > 0) {
      if (seenVersion !== null && seenVersion !== found.version) break
      seenVersion = found.version
      await clock.sleep(Math.min(waitMs, request.times.leaseMs) + 100, cancel)
      continue
    }
    const value = { ...found.value, holder: request.holder, heldUntilMs: startedMs + request.times.leaseMs }
    const next = { value, version: found.version }
    if ((await jobs.attempts.replace(session, next, cancel)) === 'replaced')
      return { value, version: found.version + 1 }
  }
  throw new BackupError(`Cannot take attempt "${session}": another mover holds it`, {
    code: 'attempt-held',
    retry: 'later',
    hint: 'The other mover goes on; nothing needs to be done',
    facts: { session, holder: request.holder },
  })
}

function freshAttempt(request: HoldRequest, nowMs: number): Attempt {
  const { jobId, attempt, holder, times } = request
  return { jobId, attempt, holder, heldUntilMs: nowMs + times.leaseMs, progress: [], usage: NO_USAGE, result: null }
}

class AttemptHold implements Hold {
  readonly signal: AbortSignal
  readonly earlierResult: AttemptResult | null
  readonly #request: HoldRequest
  readonly #session: SessionId
  readonly #deps: HoldDeps
  readonly #lost = new AbortController()
  readonly #ended = new AbortController()
  readonly #beating: Promise<void>
  #record: Versioned<Attempt>
  #progress: readonly DiskProgress[] | null = null
  /** What earlier holders of this attempt had used. */
  readonly #usedBefore: Usage
  #renewedAtMs: number
  #open: boolean

  constructor(target: Target & { readonly taken: Versioned<Attempt> }, deps: HoldDeps, cancel: Cancel) {
    this.#request = target.request
    this.#session = target.session
    this.#deps = deps
    this.#record = target.taken
    this.#usedBefore = target.taken.value.usage
    this.#renewedAtMs = deps.clock.monotonicMs()
    this.signal = anySignal([cancel.signal, this.#lost.signal])
    this.earlierResult = target.taken.value.result
    this.#open = this.earlierResult === null
    // The loop ends by its signals; what it learns is in #lost.
    this.#beating = this.#open ? this.#beat().catch(() => undefined) : Promise.resolve()
  }

  report(progress: readonly DiskProgress[]): void {
    this.#progress = progress
  }

  async finish(result: AttemptResult, cancel: Cancel): Promise<void> {
    if (this.#lost.signal.aborted) throw this.#lost.signal.reason
    await this.#end()
    const last = this.#progress === null ? {} : { progress: this.#progress }
    const change = { ...last, result, heldUntilMs: this.#deps.clock.nowMs() }
    if ((await this.#replace(change, cancel)) === 'conflict') throw this.#lose('another mover took it')
    this.#open = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end()
    if (!this.#open || this.#lost.signal.aborted) return
    this.#open = false
    // Given back for whoever goes on; when this fails the hold lapses by itself.
    const change = { heldUntilMs: this.#deps.clock.nowMs() }
    await this.#replace(change, { signal: AbortSignal.timeout(GIVE_BACK_MS) }).catch(() => undefined)
  }

  async #beat(): Promise<void> {
    const { times } = this.#request
    const { clock } = this.#deps
    const signal = anySignal([this.signal, this.#ended.signal])
    for (;;) {
      await clock.sleep(times.progressMs, { signal })
      const idleMs = clock.monotonicMs() - this.#renewedAtMs
      if (this.#progress !== null || idleMs >= times.renewMs) await this.#renew()
    }
  }

  /** One write, kept from lasting beyond the lease; a store that does not answer is tried again at the next beat. */
  async #renew(): Promise<void> {
    const leftMs = this.#renewedAtMs + this.#request.times.leaseMs - this.#deps.clock.monotonicMs()
    if (leftMs <= 0) throw this.#lose('it could not be renewed for its whole lease')
    const change = this.#progress === null ? {} : { progress: this.#progress }
    this.#progress = null
    try {
      const until = anySignal([this.#ended.signal, AbortSignal.timeout(Math.ceil(leftMs))])
      if ((await this.#replace(change, { signal: until })) === 'conflict') this.#lose('another mover took it')
    } catch (error) {
      if (this.#ended.signal.aborted) return
      this.#deps.log.warn('attempt.renew-failed', { session: this.#session, reason: messageOf(error) })
    }
  }

  async #replace(change: Partial<Attempt>, cancel: Cancel): Promise<'replaced' | 'conflict'> {
    const { jobs, clock } = this.#deps
    const usage = addUsage(this.#usedBefore, this.#deps.usage())
    for (let tries = 0; tries < 2; tries++) {
      const startedMs = clock.monotonicMs()
      const heldUntilMs = clock.nowMs() + this.#request.times.leaseMs
      const next = { value: { ...this.#record.value, heldUntilMs, usage, ...change }, version: this.#record.version }
      if ((await jobs.attempts.replace(this.#session, next, cancel)) === 'replaced') {
        this.#record = { value: next.value, version: next.version + 1 }
        this.#renewedAtMs = startedMs
        return 'replaced'
      }
      // A write whose answer we did not hear may have been ours: the holder's name is unique to this process.
      const found = await jobs.attempts.get(this.#session, cancel)
      if (found === null || found.value.holder !== this.#request.holder) return 'conflict'
      this.#record = found
    }
    return 'conflict'
  }

  #lose(why: string): BackupError {
    const error = attemptLost(this.#session, why)
    this.#lost.abort(error)
    return error
  }

  async #end(): Promise<void> {
    this.#ended.abort(new DOMException('The hold ended', 'AbortError'))
    await this.#beating
  }
}

function attemptLost(session: SessionId, why: string): BackupError {
  return new BackupError(`Cannot go on with attempt "${session}": ${why}`, {
    code: 'attempt-lost',
    retry: 'later',
    hint: 'Whoever holds the attempt now goes on; nothing needs to be done',
    facts: { session },
  })
}
