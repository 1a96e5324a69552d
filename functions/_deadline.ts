// The one deadline of an invocation; everything it does derives its own from it.

import type { Cancel } from '../lib/base/time-limit.ts'

/** Left to answer, to give up a claim and to write the log before Lambda stops the function. */
const marginMs = 5_000

export function deadlineOf(context: { getRemainingTimeInMillis(): number }): Cancel {
  return { signal: AbortSignal.timeout(Math.max(1, context.getRemainingTimeInMillis() - marginMs)) }
}
