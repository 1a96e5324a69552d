// The window of a policy: the time of day in which backups may begin. Pure.

import { parseCron, timeOfDay } from './cron.ts'
import { nextTimes } from './cron-times.ts'
import type { Policy } from './policy.ts'

type Scheduled = Pick<Policy, 'schedule'>

/**
 * Whether a policy's window is open: from its opening, or else from the time of day of its cron, to its close; over midnight if the close
 * is the earlier of the two. A policy without a close, or without any opening, is always open.
 */
export function isWindowOpen({ schedule }: Scheduled, nowMs: number): boolean {
  const window = windowOf(schedule)
  if (window === null) return true
  const { open, close, timeZone } = window
  const now = minutesAt(nowMs, timeZone)
  return open <= close ? now >= open && now < close : now >= open || now < close
}

/** When a window that is open at `nowMs` closes next; null where there is none. */
export function windowClosesAtMs({ schedule }: Scheduled, nowMs: number): number | null {
  const window = windowOf(schedule)
  if (window === null) return null
  const { close, timeZone } = window
  const fields = `${close % 60} ${Math.floor(close / 60)} * * *`
  return nextTimes({ fields, timeZone }, nowMs, 1)[0] ?? null
}

/** "HH:MM" in minutes of the day; null for null and for what is none. */
export function minutesOf(time: string | null): number | null {
  const match = /^(\d{2}):(\d{2})$/.exec(time ?? '')
  return match === null ? null : Number(match[1]) * 60 + Number(match[2])
}

function windowOf(
  schedule: Policy['schedule'],
): { readonly open: number; readonly close: number; readonly timeZone: string } | null {
  if (schedule === null) return null
  const close = minutesOf(schedule.windowClose)
  const open = minutesOf(schedule.windowOpen) ?? openOfCron(schedule.cron)
  return close === null || open === null ? null : { open, close, timeZone: schedule.timeZone }
}

function openOfCron(fields: string | null): number | null {
  const parsed = fields === null ? null : parseCron(fields)
  return parsed === null || 'fault' in parsed ? null : timeOfDay(parsed.cron)
}

function minutesAt(atMs: number, timeZone: string): number {
  const form = { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const
  return minutesOf(new Intl.DateTimeFormat('en-GB', form).format(atMs)) ?? 0
}
