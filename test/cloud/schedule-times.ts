// When a schedule's expression says that it is time.

import { Cron } from 'croner'

const UNITS: Readonly<Record<string, number>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 }

/**
 * The next time after `afterMs`; null: never again.
 * @param expression rate(…), cron(…) of six fields, or at(…)
 * @param options.startMs when a rate began
 */
export function nextTime(
  expression: string,
  options: { readonly afterMs: number; readonly startMs: number; readonly timeZone: string },
): number | null {
  const [, kind = '', inside = ''] = /^(rate|cron|at)\((.*)\)$/.exec(expression) ?? []
  switch (kind) {
    case 'rate': {
      const [, count = '', unit = ''] = /^(\d+) (minute|hour|day)s?$/.exec(inside) ?? []
      const everyMs = Number(count) * (UNITS[unit] ?? 0)
      if (!(everyMs > 0)) throw new Error(`The rate "${expression}" is not known here`)
      const { afterMs, startMs } = options
      return startMs + Math.max(1, Math.floor((afterMs - startMs) / everyMs) + 1) * everyMs
    }
    case 'at': {
      const atMs = new Date(`${inside}Z`).getTime()
      if (Number.isNaN(atMs)) throw new Error(`The time "${expression}" is not known here`)
      return atMs > options.afterMs ? atMs : null
    }
    case 'cron': {
      const [minute, hour, day, month, weekday = '', year, ...others] = inside.split(' ')
      if (year !== '*' || others.length > 0) throw new Error(`The expression "${expression}" is not known here`)
      // AWS counts the days of a week from 1, Sunday; croner from 0.
      const days = weekday.replaceAll(/(?<![#L])\b[1-7]\b/g, (digit) => String(Number(digit) - 1))
      const pattern = [minute, hour, day, month, days].map((field) => (field === '?' ? '*' : field)).join(' ')
      const found = new Cron(pattern, { timezone: options.timeZone }).nextRun(new Date(options.afterMs))
      return found === null ? null : found.getTime()
    }
    default:
      throw new Error(`The expression "${expression}" is not known here`)
  }
}
