// When schedules say that it is time.

import { expect, it } from 'vitest'
import { nextTime } from './schedule-times.ts'

const at = (text: string) => Date.parse(text)

it.each<readonly [string, string, string | null]>([
  ['rate(1 minute)', '2026-01-01T00:00:30Z', '2026-01-01T00:01:00.000Z'],
  ['rate(1 minute)', '2026-01-01T00:01:00Z', '2026-01-01T00:02:00.000Z'],
  ['rate(4 hours)', '2026-01-01T09:00:00Z', '2026-01-01T12:00:00.000Z'],
  ['cron(0 22 * * ? *)', '2026-01-01T00:00:00Z', '2026-01-01T21:00:00.000Z'],
  ['cron(0 22 ? * 1,MON *)', '2026-01-01T00:00:00Z', '2026-01-04T21:00:00.000Z'],
  ['cron(0 22 ? * 2-3 *)', '2026-01-01T00:00:00Z', '2026-01-05T21:00:00.000Z'],
  ['at(2026-01-01T03:00:00)', '2026-01-01T00:00:00Z', '2026-01-01T03:00:00.000Z'],
  ['at(2026-01-01T03:00:00)', '2026-01-01T03:00:00Z', null],
])('%s after %s is %s', (expression, after, expected) => {
  const options = { afterMs: at(after), startMs: at('2026-01-01T00:00:00Z'), timeZone: 'Europe/Berlin' }
  const found = nextTime(expression, options)
  expect(found === null ? null : new Date(found).toISOString()).toBe(expected)
})

it.each(['rate(0 minutes)', 'rate(1 second)', 'cron(0 22 * * ? 2027)', 'cron(0 22 * * *)', 'every day'])(
  'refuses %s',
  (expression) => {
    expect(() => nextTime(expression, { afterMs: 0, startMs: 0, timeZone: 'UTC' })).toThrow('is not known here')
  },
)
