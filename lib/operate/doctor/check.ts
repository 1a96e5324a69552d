// One check of the doctor: what was looked at, how it is, what was needed, and what to do. And running one within its time.

import type { Clock } from '../../base/clock.ts'
import { BackupError, messageOf } from '../../base/errors.ts'
import { anySignal, type Cancel } from '../../base/time-limit.ts'

export type CheckState =
  | 'ok'
  /** Backups work, and something should be known. */
  | 'warning'
  /** Backups do not work, or not as the policy says. */
  | 'failed'
  /** Nobody knows; `found` says why. */
  | 'not-checked'

export type Check = {
  /** Stays the same from release to release: "vcenter.login". */
  readonly id: string
  /** The thing, in words: 'VM "db-01"'. */
  readonly about: string
  readonly state: CheckState
  /** What was tried, as in "log in". */
  readonly tried: string
  readonly found: string
  /** Null where it was found as needed. */
  readonly needed: string | null
  /** The next step; null where none is. */
  readonly next: string | null
  /** What an error was, for its exit code: "vcenter-login". */
  readonly code: string | null
}

/** What a look found; what is not given is null. */
export type Verdict = Pick<Check, 'state' | 'found'> & Partial<Pick<Check, 'needed' | 'next' | 'code'>>

export type Topic = Pick<Check, 'id' | 'about' | 'tried'>

export function checkOf(topic: Topic, verdict: Verdict): Check {
  const { state, found, needed = null, next = null, code = null } = verdict
  return { ...topic, state, found, needed, next, code }
}

export function ok(found: string): Verdict {
  return { state: 'ok', found }
}

export function notChecked(why: string): Verdict {
  return { state: 'not-checked', found: why }
}

export function warning(found: string, next: string, needed?: string): Verdict {
  return { state: 'warning', found, next, ...(needed === undefined ? {} : { needed }) }
}

export function failed(found: string, next: string, needed?: string): Verdict {
  return { state: 'failed', found, next, ...(needed === undefined ? {} : { needed }) }
}

/** The verdict on something that was thrown. */
export function verdictOfError(error: unknown, state: CheckState = 'failed'): Verdict {
  const next = error instanceof BackupError ? error.hint : undefined
  const code = error instanceof BackupError ? error.code : 'internal'
  return { state, found: messageOf(error), code, ...(next === undefined ? {} : { next }) }
}

/** What was learned, or why it was not: an unknown is never taken for an answer. */
export type Learned<Value> =
  | { readonly kind: 'known'; readonly value: Value }
  | { readonly kind: 'unknown'; readonly verdict: Verdict }

/** Within a time of its own. Whatever does not answer, signal or not, ends as unknown and holds nobody up. */
export async function learn<Value>(
  act: (cancel: Cancel) => Promise<Value>,
  { clock, limitMs, signal }: Cancel & { readonly clock: Clock; readonly limitMs: number },
): Promise<Learned<Value>> {
  signal.throwIfAborted()
  const late = new AbortController()
  const over = new AbortController()
  const limit = clock.sleep(limitMs, { signal: anySignal([signal, over.signal]) }).then((): Learned<Value> => {
    late.abort(new DOMException('Too late', 'TimeoutError'))
    const found = `no answer in ${limitMs} ms`
    return {
      kind: 'unknown',
      verdict: { state: 'failed', found, code: 'check-late', next: 'Try again; look at what stands between' },
    }
  })
  const acted = act({ signal: anySignal([signal, late.signal]) }).then(
    (value): Learned<Value> => ({ kind: 'known', value }),
    (error: unknown): Learned<Value> => ({ kind: 'unknown', verdict: verdictOfError(error) }),
  )
  try {
    return await Promise.race([acted, limit])
  } finally {
    over.abort()
    limit.catch(() => undefined)
    signal.throwIfAborted()
  }
}
