// Deadlines and cancellation: one signal a program, others derived from it.

/** Passed to every call that leaves the process. */
export type Cancel = { readonly signal: AbortSignal }

/** A signal that is aborted by its parent or after `ms`, whichever comes first. */
export function withTimeLimit(parent: AbortSignal, ms: number): AbortSignal {
  // Differences of a monotonic clock have fractions; timers take whole milliseconds only.
  return AbortSignal.any([parent, AbortSignal.timeout(Math.max(0, Math.ceil(ms)))])
}

/** Whether this error is the reason of an aborted signal (a cancel or a time limit). */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')
}
