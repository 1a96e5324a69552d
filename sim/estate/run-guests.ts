// Lets the running guests of an estate write on their own, by a timer, until told to stop.

import type { Clock } from '../../lib/base/clock.ts'
import { isAbort } from '../../lib/base/time-limit.ts'
import type { Estate } from './estate.ts'

export type GuestPace = { readonly everyMs: number; readonly records: number }

export interface GuestRunner extends AsyncDisposable {
  readonly running: boolean
  /** Starts, or goes on at another pace. */
  run(pace: GuestPace): Promise<void>
  stop(): Promise<void>
}

export function guestRunner(estate: Estate, options: { readonly clock: Clock }): GuestRunner {
  let current: { readonly abort: AbortController; readonly done: Promise<void> } | null = null
  const stop = async () => {
    const stopped = current
    current = null
    stopped?.abort.abort()
    await stopped?.done
  }
  return {
    get running() {
      return current !== null
    },
    run: async (pace) => {
      await stop()
      const abort = new AbortController()
      current = { abort, done: writeUntil(estate, { ...options, ...pace, signal: abort.signal }) }
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

async function writeUntil(
  estate: Estate,
  options: GuestPace & { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  try {
    for (;;) {
      await options.clock.sleep(options.everyMs, { signal: options.signal })
      for (const { machine } of estate.machines()) {
        if (machine.powerState === 'poweredOn') machine.guest.step(options.records)
      }
    }
  } catch (error) {
    if (!isAbort(error)) throw error
  }
}
