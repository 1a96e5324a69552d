// A schedule in the words of EventBridge Scheduler, or why it has none for it. Pure.

import { BackupError } from '../base/errors.ts'
import { schedulerExpression } from './cron.ts'

export type SchedulerForm = {
  readonly expression: string
  readonly timeZone: string
  /** 0: each start comes at its time, to the minute. */
  readonly windowMinutes: number
}

const MINUTE_MS = 60_000
const WINDOW_MINUTES_MAX = 1_440
const TIME_ZONE_LENGTH_MAX = 50

/** @returns the fault in words that follow "its schedule" */
export function schedulerFormOf(schedule: {
  readonly when: Parameters<typeof schedulerExpression>[0]
  readonly timeZone: string
  readonly jitterMs: number
}): SchedulerForm | { readonly fault: string } {
  const { when, timeZone, jitterMs } = schedule
  const known = schedulerExpression(when)
  if ('fault' in known) return known
  const windowMinutes = jitterMs / MINUTE_MS
  if (!Number.isInteger(windowMinutes) || windowMinutes < 0 || windowMinutes > WINDOW_MINUTES_MAX) {
    return { fault: `has a jitter of ${windowMinutes} minutes: must be whole minutes, at most ${WINDOW_MINUTES_MAX}` }
  }
  if (timeZone.length > TIME_ZONE_LENGTH_MAX) {
    return { fault: `has the time zone "${timeZone}": its name may have ${TIME_ZONE_LENGTH_MAX} characters` }
  }
  return { expression: known.expression, timeZone, windowMinutes }
}

/** @param fault in words that follow "its schedule" */
export function scheduleRefused(policy: string, fault: string, cause?: unknown): BackupError {
  return new BackupError(`Cannot schedule policy "${policy}": its schedule ${fault}`, {
    code: 'schedule-refused',
    kind: 'usage',
    hint: 'Change the schedule in the policy',
    facts: { policy, fault },
    ...(cause === undefined ? {} : { cause }),
  })
}
