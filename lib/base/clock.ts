// Time as a dependency. This is the only file of the library that reads the system's clock.

import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. May jump. */
  nowMs(): number
  /** Milliseconds since an arbitrary start. Never goes back. */
  monotonicMs(): number
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted. */
  sleep(ms: number, options: { readonly signal: AbortSignal }): Promise<void>
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, { signal }) => {
    try {
      await delay(ms, undefined, { signal })
    } catch (error) {
      signal.throwIfAborted()
      throw error
    }
  },
}

export type ManualClock = Clock & {
  /** Moves both clocks on and wakes every sleeper whose time has come, in order. */
  advance(ms: number): void
  /** How many sleepers wait. */
  sleepers(): number
}

/** A clock that moves only when told to; for tests and simulations. */
export function manualClock(startMs = 1_760_000_000_000): ManualClock {
  let elapsedMs = 0
  let waiting: { readonly atMs: number; readonly wake: () => void }[] = []
  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    sleepers: () => waiting.length,
    sleep: (ms, { signal }) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        const leave = (): void => {
          waiting = waiting.filter((other) => other !== entry)
          reject(signal.reason)
        }
        const wake = (): void => {
          signal.removeEventListener('abort', leave)
          resolve()
        }
        const entry = { atMs: elapsedMs + ms, wake }
        waiting.push(entry)
        signal.addEventListener('abort', leave, { once: true })
      }),
    advance: (ms) => {
      elapsedMs += ms
      const due = waiting.filter((entry) => entry.atMs <= elapsedMs).toSorted((a, b) => a.atMs - b.atMs)
      waiting = waiting.filter((entry) => entry.atMs > elapsedMs)
      for (const entry of due) entry.wake()
    },
  }
}

/** ISO 8601 in UTC with milliseconds, as every record of ours writes a time. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
