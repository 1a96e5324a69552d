// An object store that tries again what may pass by itself. Every call can be repeated: puts are put-if-absent.

import type { Clock } from '../../base/clock.ts'
import { BackupError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { type RetryOptions, retry } from '../../base/retry.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { ObjectStore } from '../../ports/object-store.ts'

export type RetryingOptions = {
  readonly attemptsMax: number
  readonly firstMs: number
  readonly mostMs: number
  readonly clock: Clock
  readonly random: Random
}

/**
 * A put whose answer was lost answers 'exists' when it is tried again: callers compare what is there, as they must anyway.
 * A listing goes on after the last key that was given out.
 */
export function retryingStore(inner: ObjectStore, options: RetryingOptions): ObjectStore {
  const run = <Result>(action: () => Promise<Result>, { signal }: Cancel) => retry(action, limits(options, signal))
  return {
    putIfAbsent: (object, cancel) => run(() => inner.putIfAbsent(object, cancel), cancel),
    get: (key, cancel) => run(() => inner.get(key, cancel), cancel),
    getRange: (range, cancel) => run(() => inner.getRange(range, cancel), cancel),
    head: (key, cancel) => run(() => inner.head(key, cancel), cancel),
    async *list(prefix, cancel) {
      let last = ''
      for (let attempt = 1; ; attempt++) {
        try {
          for await (const facts of inner.list(prefix, cancel)) {
            if (facts.key <= last) continue
            last = facts.key
            attempt = 1
            yield facts
          }
          return
        } catch (error) {
          if (cancel.signal.aborted || attempt >= options.attemptsMax || !mayPass(error)) throw error
          const boundMs = Math.min(options.mostMs, options.firstMs * 2 ** (attempt - 1))
          await options.clock.sleep(boundMs * options.random.fraction(), cancel)
        }
      }
    },
  }
}

function limits(options: RetryingOptions, signal: AbortSignal): RetryOptions {
  return { ...options, signal, retryable: mayPass }
}

function mayPass(error: unknown): boolean {
  return error instanceof BackupError && error.retry === 'later' && error.code !== 'store-full'
}
