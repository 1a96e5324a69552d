// When five cron fields fire, in a time zone with its changes of the clock. Pure: from a moment that the caller names.

import { Cron } from 'croner'
import { parseCron } from './cron.ts'

export type ZonedCron = { readonly fields: string; readonly timeZone: string }

/**
 * The next moments after `afterMs`, ascending. A time that the clock skips in spring comes when the clock has been put forward; one
 * that comes twice in autumn fires the first time (with "*" for the hour: each time).
 * @param cron as parseCron() accepts it
 * @returns fewer than `count`, or none, when there are no more
 */
export function nextTimes(cron: ZonedCron, afterMs: number, count: number): readonly number[] {
  return compiled(cron)
    .nextRuns(count, new Date(afterMs))
    .map((date) => date.getTime())
}

/** The newest moment at or before `atMs`; null when there is none that anybody remembers. */
export function lastTime(cron: ZonedCron, atMs: number): number | null {
  // The library's own search begins below the second that it is given.
  const [last] = compiled(cron).previousRuns(1, new Date(atMs + 1_000))
  const ms = last?.getTime() ?? null
  if (ms === null || ms <= atMs) return ms
  return compiled(cron).previousRuns(1, last)[0]?.getTime() ?? null
}

/** Why a cron never fires, or cannot be read; null when it fires. */
export function cronFault(fields: string): string | null {
  const parsed = parseCron(fields)
  if ('fault' in parsed) return parsed.fault
  // Any 8 years hold a 29th of February but those around 1900 and 2100: nothing that ever fires is refused for some decades.
  return nextTimes({ fields, timeZone: 'UTC' }, Date.UTC(2024, 0, 1), 1).length > 0
    ? null
    : 'never fires: no month that it names has such a day'
}

const compiledMax = 200
const kept = new Map<string, Cron>()

function compiled({ fields, timeZone }: ZonedCron): Cron {
  const key = `${timeZone} ${fields}`
  const known = kept.get(key)
  if (known !== undefined) return known
  const cron = new Cron(fields.trim(), { timezone: timeZone, paused: true })
  if (kept.size >= compiledMax) kept.clear()
  kept.set(key, cron)
  return cron
}
