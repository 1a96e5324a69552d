// Deadlines and cancellation: one signal a program, others derived from it.

/** Passed to every call that leaves the process. */
export type Cancel = { readonly signal: AbortSignal }

/**
 * What composite signals hang on. AbortSignal.any() holds its sources weakly: one that nobody listens to is collected, and with it
 * the moment in which it would have been aborted.
 */
const sources = new WeakMap<AbortSignal, readonly AbortSignal[]>()

/** A signal that is aborted by its parent or after `ms`, whichever comes first. */
export function withTimeLimit(parent: AbortSignal, ms: number): AbortSignal {
  // Differences of a monotonic clock have fractions; timers take whole milliseconds only.
  return anySignal([parent, AbortSignal.timeout(Math.max(0, Math.ceil(ms)))])
}

/** A signal that is aborted with the first of these, and that keeps them alive. */
export function anySignal(signals: readonly AbortSignal[]): AbortSignal {
  const signal = AbortSignal.any([...signals])
  sources.set(signal, signals)
  return signal
}

/** Whether this error is the reason of an aborted signal (a cancel or a time limit). */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')
}
