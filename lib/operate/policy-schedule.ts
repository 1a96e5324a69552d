// What the scheduler is to know of a policy. Pure.

import type { Policy } from '../model/policy.ts'
import { rpoTickMs } from '../model/rpo.ts'
import type { Schedule } from '../ports/schedules.ts'

/** @returns null for a policy that nothing starts by the clock */
export function scheduleFor({ name, schedule }: Pick<Policy, 'name' | 'schedule'>): Schedule | null {
  if (schedule === null) return null
  const when = whenOf(schedule)
  return when === null ? null : { policy: name, when, timeZone: schedule.timeZone, jitterMs: schedule.jitterMs }
}

function whenOf({ cron, rateMs, rpoMs }: NonNullable<Policy['schedule']>): Schedule['when'] | null {
  if (cron !== null) return { kind: 'cron', fields: cron.trim() }
  const everyMs = rateMs ?? (rpoMs === null ? null : rpoTickMs(rpoMs))
  return everyMs === null ? null : { kind: 'rate', everyMs }
}
