// Holding an operation: one task carries it out, by conditional writes that are renewed while it works and that carry how far it is. A task
// whose hold is gone, or whose work is no longer wanted, is told to stop by its signal.

import { changeRecord } from '../base/change-record.ts'
import { type Clock, isoTime } from '../base/clock.ts'
import { BackupError, messageOf } from '../base/errors.ts'
import { anySignal, type Cancel } from '../base/time-limit.ts'
import { cancelledOperation } from '../model/cancel.ts'
import type { OperationId } from '../model/ids.ts'
import { endOperation, type Operation, type OperationProgress } from '../model/operation.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Records } from '../ports/job-store.ts'
import type { Log } from '../ports/log.ts'

export type OperationTimes = {
  readonly leaseMs: number
  /** How often the record is written: the hold is renewed, and progress told. */
  readonly renewMs: number
}

export const OPERATION_TIMES: OperationTimes = { leaseMs: 60_000, renewMs: 5_000 }

export type HoldOperation = {
  readonly operationId: OperationId
  readonly attempt: number
  /** Unique to this process. */
  readonly holder: string
}

type Deps = {
  readonly operations: Records<OperationId, Operation>
  readonly clock: Clock
  readonly log: Log
  readonly times: OperationTimes
}

export interface OperationHold extends AsyncDisposable {
  /** As last written by this hold. */
  operation(): Operation
  /** Aborted with `operation-lost` or `cancelled`, or with the caller's reason. */
  readonly signal: AbortSignal
  report(progress: readonly OperationProgress[]): void
  /** @throws BackupError `operation-lost` */
  update(change: (operation: Operation) => Operation): Promise<void>
  /** Writes the end. @throws BackupError `operation-lost` when another took it, or its end was written by somebody else */
  finish(end: { readonly outcome: Outcome; readonly result: readonly string[] }): Promise<void>
}

/** The last write has a time of its own: the caller's signal may be over. */
const LAST_WRITE_MS = 10_000

/** @throws BackupError `operation-over` when this attempt is not wanted any more, `operation-held` when another task has it */
export async function holdOperation(request: HoldOperation, deps: Deps, cancel: Cancel): Promise<OperationHold> {
  const { operationId: id, holder } = request
  const { operations, clock, times } = deps
  let refusal: BackupError | null = null
  const take = (now: Operation): Operation => {
    refusal = refusalOf(now, request, clock.nowMs())
    if (refusal !== null) return now
    return {
      ...now,
      state: 'running',
      holder,
      heldUntilMs: clock.nowMs() + times.leaseMs,
      failure: null,
      waitsFor: null,
    }
  }
  const taken = await changeRecord(operations, { id, change: take }, cancel)
  if (refusal !== null) throw refusal
  if (taken === null) throw over(id, 'there is no such operation')

  return new HeldOperation({ request, taken: taken.value }, deps, cancel)
}

class HeldOperation implements OperationHold {
  readonly signal: AbortSignal
  readonly #request: HoldOperation
  readonly #deps: Deps
  readonly #lost = new AbortController()
  readonly #ended = new AbortController()
  readonly #beating: Promise<void>
  #current: Operation
  #renewedMs: number
  #progress: readonly OperationProgress[] | null = null
  #open = true

  constructor(of: { readonly request: HoldOperation; readonly taken: Operation }, deps: Deps, cancel: Cancel) {
    this.#request = of.request
    this.#deps = deps
    this.#current = of.taken
    this.#renewedMs = deps.clock.monotonicMs()
    this.signal = anySignal([cancel.signal, this.#lost.signal])
    // The loop ends by its signals; what it learns is in #lost.
    this.#beating = this.#beat().catch(() => undefined)
  }

  operation(): Operation {
    return this.#current
  }

  report(progress: readonly OperationProgress[]): void {
    this.#progress = progress
  }

  update(change: (operation: Operation) => Operation): Promise<void> {
    return this.#write(change, { signal: this.signal })
  }

  async finish({ outcome, result }: { readonly outcome: Outcome; readonly result: readonly string[] }): Promise<void> {
    await this.#end()
    const at = isoTime(this.#deps.clock.nowMs())
    await this.#write((now) => endOperation(now, { outcome, result, at }), {
      signal: AbortSignal.timeout(LAST_WRITE_MS),
    })
    this.#open = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end()
    if (!this.#open) return
    this.#open = false
    // Given back for whoever goes on; when this fails the hold lapses by itself.
    const back = (now: Operation): Operation => ({ ...now, heldUntilMs: this.#deps.clock.nowMs() - 1 })
    await this.#write(back, { signal: AbortSignal.timeout(LAST_WRITE_MS) }).catch(() => undefined)
  }

  async #beat(): Promise<void> {
    const { clock, times, log } = this.#deps
    const until = anySignal([this.signal, this.#ended.signal])
    for (;;) {
      await clock.sleep(times.renewMs, { signal: until })
      const leftMs = this.#renewedMs + times.leaseMs - clock.monotonicMs()
      if (leftMs <= 0) return this.#lost.abort(gone(this.#current))
      await this.#write((now) => now, { signal: until }).catch((error: unknown) =>
        log.warn('operation.renew-failed', { operation: this.#request.operationId, reason: messageOf(error) }),
      )
    }
  }

  async #write(change: (now: Operation) => Operation, cancel: Cancel): Promise<void> {
    const { operations, clock, times } = this.#deps
    const { operationId: id, attempt, holder } = this.#request
    const startedMs = clock.monotonicMs()
    const told = this.#progress
    let ours = true
    const heldChange = (now: Operation): Operation => {
      ours = now.state !== 'done' && now.attempt === attempt && now.holder === holder
      if (!ours) return now
      return change({ ...now, heldUntilMs: clock.nowMs() + times.leaseMs, progress: told ?? now.progress })
    }
    const found = await changeRecord(operations, { id, change: heldChange }, cancel)
    if (found === null || !ours) throw this.#lose()
    if (this.#progress === told) this.#progress = null
    this.#current = found.value
    this.#renewedMs = startedMs
    const { state, cancelRequestedAt } = found.value
    if (state !== 'done' && cancelRequestedAt !== null) this.#lost.abort(cancelled(found.value))
  }

  #lose(): BackupError {
    const error = gone(this.#current)
    this.#lost.abort(error)
    return error
  }

  async #end(): Promise<void> {
    this.#ended.abort()
    await this.#beating
  }
}

function refusalOf(now: Operation, { attempt, holder, operationId }: HoldOperation, nowMs: number): BackupError | null {
  if (now.state === 'done') return over(operationId, 'it is done')
  if (now.attempt !== attempt) return over(operationId, `it is at attempt ${now.attempt}, this is ${attempt}`)
  if (now.cancelRequestedAt !== null) return over(operationId, 'it was cancelled')
  if (now.holder === null || now.holder === holder || (now.heldUntilMs ?? 0) < nowMs) return null
  return new BackupError(`Cannot take operation "${operationId}": another task holds it`, {
    code: 'operation-held',
    retry: 'later',
    hint: 'The other task goes on; nothing needs to be done',
  })
}

function over(id: OperationId, why: string): BackupError {
  return new BackupError(`Cannot carry out operation "${id}": ${why}`, { code: 'operation-over' })
}

function gone({ id }: Operation): BackupError {
  return new BackupError(`Cannot go on with operation "${id}": another task has it, or its end was written`, {
    code: 'operation-lost',
    retry: 'later',
    hint: 'Nothing needs to be done: whoever has it goes on',
  })
}

function cancelled(operation: Operation): BackupError {
  const { code, message, hint } = cancelledOperation(operation)
  return new BackupError(message, { code, hint })
}
