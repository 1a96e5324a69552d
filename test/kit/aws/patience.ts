// How patient an adapter under test is: no wait lasts, and chance repeats with each run, not with each adapter.

import { type Clock, systemClock } from '../../../lib/base/clock.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import type { ApiServer } from './server.ts'

let seeds = 0

/** The system's clock, but for sleeps, which end at once. `waitedMs` has each of them. */
export function impatience(server: ApiServer) {
  const waitedMs: number[] = []
  const clock: Clock = {
    ...systemClock,
    sleep: async (ms, { signal }) => {
      signal.throwIfAborted()
      waitedMs.push(ms)
    },
  }
  return { waitedMs, settings: { ...server.client, clock, random: seededRandom(++seeds) } }
}
