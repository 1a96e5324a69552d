// Bounded retries with full jitter.

import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

export type RetryOptions = {
  readonly attemptsMax: number
  /** The first wait is drawn from [0, firstMs), each next bound doubles up to mostMs. */
  readonly firstMs: number
  readonly mostMs: number
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
  /** Whether this failure may pass by itself. */
  readonly retryable: (error: unknown) => boolean
}

/** Runs `action` until it succeeds, fails for good, or was tried `attemptsMax` times; then throws the last error. */
export async function retry<Result>(
  action: (attempt: number) => Promise<Result>,
  options: RetryOptions,
): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    options.signal.throwIfAborted()
    try {
      return await action(attempt)
    } catch (error) {
      if (options.signal.aborted || attempt >= options.attemptsMax || !options.retryable(error)) throw error
      const boundMs = Math.min(options.mostMs, options.firstMs * 2 ** (attempt - 1))
      await options.clock.sleep(boundMs * options.random.fraction(), { signal: options.signal })
    }
  }
}
