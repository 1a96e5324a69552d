import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Cron, parseCron, schedulerExpression, timeOfDay } from '../../lib/model/cron.ts'
import { cronFault, lastTime, nextTimes } from '../../lib/model/cron-times.ts'
import { isWindowOpen, windowClosesAtMs } from '../../lib/model/window.ts'

function read(text: string): Cron {
  const parsed = parseCron(text)
  if ('fault' in parsed) throw new Error(parsed.fault)
  return parsed.cron
}

function iso(times: readonly number[]): readonly string[] {
  return times.map((ms) => new Date(ms).toISOString())
}

const berlin = (fields: string) => ({ fields, timeZone: 'Europe/Berlin' })

describe('parseCron()', () => {
  it('reads lists, ranges, steps, names and days from the end', () => {
    expect(read('*/20 8-10 1,15 jan,MAR *')).toEqual({
      minute: { kind: 'list', values: [0, 20, 40] },
      hour: { kind: 'list', values: [8, 9, 10] },
      day: { kind: 'list', values: [1, 15] },
      month: { kind: 'list', values: [1, 3] },
      weekday: { kind: 'any' },
    })
    expect(read('0 22 ? * 7').weekday).toEqual({ kind: 'list', values: [0] })
    expect(read('0 22 * * 1-7').weekday).toEqual({ kind: 'any' })
    expect(read('0 22 * * fri#2').weekday).toEqual({ kind: 'weekday-of-month', weekday: 5, which: 2 })
    expect(read('0 22 * * 5L').weekday).toEqual({ kind: 'weekday-of-month', weekday: 5, which: 'last' })
    expect(read('0 22 L * *').day).toEqual({ kind: 'last-day' })
    expect(read('5/15 * * * *').minute).toEqual({ kind: 'list', values: [5, 20, 35, 50] })
  })

  it.each([
    ['0 22 * *', 'five cron fields'],
    ['0 22 * * * *', 'five cron fields'],
    ['60 22 * * *', 'has "60" for the minute'],
    ['0 24 * * *', 'has "24" for the hour'],
    ['0 22 0 * *', 'has "0" for the day of the month'],
    ['0 22 * 13 *', 'has "13" for the month'],
    ['0 22 * * MOO', 'numbers from 0 to 7 or SUN to SAT'],
    ['0 22 * * 5-1', 'has "5-1" for the weekday'],
    ['*/0 22 * * *', 'has "*/0" for the minute'],
    ['? 22 * * *', 'has "?" for the minute'],
    ['0 22 1 * 5', 'days of the month and weekdays at once'],
    ['0 22 15W * *', 'has "15W" for the day of the month'],
    ['@daily', 'five cron fields'],
  ])('refuses "%s"', (text, words) => {
    expect(cronFault(text)).toContain(words)
  })

  it('refuses what never fires, and takes what fires on leap days alone', () => {
    expect(cronFault('0 0 30 2 *')).toMatch(/never fires/)
    expect(cronFault('0 0 31 4,6,9,11 *')).toMatch(/never fires/)
    expect(cronFault('0 0 29 2 *')).toBeNull()
  })

  it('knows the one time of day', () => {
    expect(timeOfDay(read('30 22 * * 1'))).toBe(22 * 60 + 30)
    expect(timeOfDay(read('0,30 22 * * 1'))).toBeNull()
    expect(timeOfDay(read('0 * * * 1'))).toBeNull()
  })
})

describe('schedulerExpression()', () => {
  it.each([
    ['0 22 * * *', 'cron(0 22 * * ? *)'],
    ['30 1 * * MON-FRI', 'cron(30 1 ? * 2-6 *)'],
    ['0 4 L * *', 'cron(0 4 L * ? *)'],
    ['0 4 * * 0,7', 'cron(0 4 ? * 1 *)'],
    ['0 4 * * 6', 'cron(0 4 ? * 7 *)'],
    ['0 4 * * 5#2', 'cron(0 4 ? * 6#2 *)'],
    ['0 4 * * 5L', 'cron(0 4 ? * 6L *)'],
    ['*/20 * 1-5,10,11 * *', 'cron(0,20,40 * 1-5,10,11 * ? *)'],
  ])('writes "%s" as %s', (fields, expression) => {
    expect(schedulerExpression({ kind: 'cron', fields })).toEqual({ expression })
  })

  it('writes rates in their largest unit, and refuses parts of minutes', () => {
    const rate = (everyMs: number) => schedulerExpression({ kind: 'rate', everyMs })
    expect(rate(60_000)).toEqual({ expression: 'rate(1 minute)' })
    expect(rate(90 * 60_000)).toEqual({ expression: 'rate(90 minutes)' })
    expect(rate(4 * 3_600_000)).toEqual({ expression: 'rate(4 hours)' })
    expect(rate(86_400_000)).toEqual({ expression: 'rate(1 day)' })
    expect(rate(90_000)).toHaveProperty('fault')
    expect(rate(0)).toHaveProperty('fault')
  })

  // A reader of EventBridge's form, written apart from the writer: both must name the same minutes of a week.
  it('fires at the same minutes of the week as the cron does', () =>
    fc.assert(
      fc.property(itemsOf(0, 59), itemsOf(0, 23), itemsOf(0, 6), (minutes, hours, days) => {
        const fields = `${minutes} ${hours} * * ${days}`
        const written = schedulerExpression({ kind: 'cron', fields })
        if ('fault' in written) return expect(written.fault).toContain('too long')
        const week = Date.UTC(2026, 0, 4)
        const weekMs = 7 * 86_400_000
        const times = nextTimes({ fields, timeZone: 'UTC' }, week - 1, 150).filter((ms) => ms < week + weekMs)
        expect(times).toEqual(eventBridgeTimes(written.expression, week).slice(0, 150))
      }),
      { numRuns: 40 },
    ))
})

function itemsOf(low: number, high: number): fc.Arbitrary<string> {
  const number = fc.integer({ min: low, max: high })
  const range = fc.tuple(number, number).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`)
  const step = fc.integer({ min: 1, max: 7 })
  const item = fc.oneof(
    number.map(String),
    range,
    fc.tuple(range, step).map(([text, by]) => `${text}/${by}`),
    step.map((by) => `*/${by}`),
  )
  return fc.oneof(
    fc.constant('*'),
    fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => items.join(',')),
  )
}

/** Every minute of the week from a Sunday's midnight (UTC) that a cron(m h ? * w *) or cron(m h * * ? *) names. */
function eventBridgeTimes(expression: string, weekMs: number): readonly number[] {
  const [minute = '', hour = '', , , weekday = ''] = expression.slice(5, -1).split(' ')
  const allowed = (text: string, value: number) =>
    text === '*' ||
    text === '?' ||
    text.split(',').some((part) => {
      const [first = '', last = first] = part.split('-')
      return value >= Number(first) && value <= Number(last)
    })
  const times: number[] = []
  for (let at = 0; at < 7 * 1_440; at++) {
    const day = Math.floor(at / 1_440)
    if (allowed(minute, at % 60) && allowed(hour, Math.floor(at / 60) % 24) && allowed(weekday, day + 1))
      times.push(weekMs + at * 60_000)
  }
  return times
}

describe('nextTimes() and lastTime()', () => {
  it('come when the clock has been put forward where the clock skips them', () => {
    const from = Date.UTC(2026, 2, 28)
    expect(iso(nextTimes(berlin('30 2 * * *'), from, 3))).toEqual([
      '2026-03-28T01:30:00.000Z',
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ])
  })

  it('come once where the clock shows a time twice, and each hour where every hour is meant', () => {
    expect(iso(nextTimes(berlin('30 2 * * *'), Date.UTC(2026, 9, 24, 12), 2))).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ])
    expect(iso(nextTimes(berlin('0 * * * *'), Date.UTC(2026, 9, 24, 23, 30), 3))).toEqual([
      '2026-10-25T00:00:00.000Z',
      '2026-10-25T01:00:00.000Z',
      '2026-10-25T02:00:00.000Z',
    ])
  })

  it('lastTime() is the newest of what nextTimes() gives, at its own moment as well', () => {
    const crons = ['0 22 * * *', '*/7 3-5 * * *', '0 4 L * *', '15 1 * * 1,4', '30 2 * * *']
    fc.assert(
      fc.property(fc.constantFrom(...crons), fc.integer({ min: 0, max: 400 * 1_440 }), (fields, minute) => {
        const cron = berlin(fields)
        const [at = 0] = nextTimes(cron, Date.UTC(2026, 0, 1) + minute * 60_000, 1)
        expect(lastTime(cron, at)).toBe(at)
        expect(lastTime(cron, at + 59_000)).toBe(at)
        const before = lastTime(cron, at - 1) ?? 0
        expect(before).toBeLessThan(at)
        expect(nextTimes(cron, before, 1)).toEqual([at])
      }),
      { numRuns: 60 },
    )
  })
})

describe('a window', () => {
  const schedule = {
    cron: '0 22 * * *',
    rateMs: null,
    rpoMs: null,
    timeZone: 'Europe/Berlin',
    windowOpen: null,
    windowClose: '06:00',
    jitterMs: 0,
  }

  it('goes over midnight, and opens at the time of the cron', () => {
    const open = (text: string) => isWindowOpen({ schedule }, Date.parse(text))
    expect(open('2026-01-10T20:59:59Z')).toBe(false)
    expect(open('2026-01-10T21:00:00Z')).toBe(true)
    expect(open('2026-01-11T04:59:59Z')).toBe(true)
    expect(open('2026-01-11T05:00:00Z')).toBe(false)
  })

  it('closes by the clock of its zone on days that are short or long', () => {
    const closes = (text: string) => iso([windowClosesAtMs({ schedule }, Date.parse(text)) ?? 0])[0]
    expect(closes('2026-01-10T21:00:00Z')).toBe('2026-01-11T05:00:00.000Z')
    expect(closes('2026-03-28T21:00:00Z')).toBe('2026-03-29T04:00:00.000Z')
    expect(closes('2026-10-24T20:00:00Z')).toBe('2026-10-25T05:00:00.000Z')
  })

  it('by day opens and closes on one day; without a close, or any opening, it is always open', () => {
    const day = { ...schedule, windowOpen: '09:00', windowClose: '17:00' }
    const open = (text: string) => isWindowOpen({ schedule: day }, Date.parse(text))
    expect([open('2026-01-10T07:59:00Z'), open('2026-01-10T08:00:00Z')]).toEqual([false, true])
    expect([open('2026-01-10T15:59:00Z'), open('2026-01-10T16:00:00Z')]).toEqual([true, false])
    expect(isWindowOpen({ schedule: { ...schedule, windowClose: null } }, 0)).toBe(true)
    expect(isWindowOpen({ schedule: { ...schedule, cron: '0 * * * *' } }, 0)).toBe(true)
    expect(isWindowOpen({ schedule: null }, 0)).toBe(true)
  })
})
