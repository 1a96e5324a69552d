// Keep rules against a model that is as plain as it can be: a point is kept when fewer than N later periods have a point.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parsePointId, parseVmId } from '../../lib/model/ids.ts'
import { judgePoints, type KeepablePoint, type KeepRules, letGo } from '../../lib/model/keep-rules.ts'

const vmId = parseVmId('502f1a2b-0000-4000-8000-000000000001')
const none: KeepRules = { last: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, timeZone: 'UTC' }

function pointAt(takenAt: string, sequence: number, change: Partial<KeepablePoint> = {}): KeepablePoint {
  const pointId = parsePointId(sequence.toString(16).padStart(32, '0'))
  return { pointId, vmId, sequence, takenAt, isProven: true, isHeld: false, ...change }
}

function pointsAt(...times: readonly string[]): readonly KeepablePoint[] {
  return times.map((at, index) => pointAt(at, index + 1))
}

function keptOf(points: readonly KeepablePoint[], rules: Partial<KeepRules>): readonly number[] {
  return judgePoints(points, { ...none, ...rules })
    .filter(({ reasons }) => reasons.length > 0)
    .map(({ point }) => point.sequence)
}

describe('judgePoints()', () => {
  it('N means N: the newest point of each of N days that have one', () => {
    const points = pointsAt(
      '2026-01-01T10:00:00Z',
      '2026-01-05T10:00:00Z',
      '2026-01-05T20:00:00Z',
      '2026-01-09T10:00:00Z',
      '2026-01-09T11:00:00Z',
    )
    expect(keptOf(points, { daily: 2 })).toEqual([5, 3])
    expect(keptOf(points, { daily: 3 })).toEqual([5, 3, 1])
    expect(keptOf(points, { last: 2 })).toEqual([5, 4])
  })

  it('weeks begin on Monday, also over the end of a year', () => {
    const points = pointsAt(
      '2025-12-28T23:00:00Z',
      '2025-12-29T01:00:00Z',
      '2026-01-04T23:00:00Z',
      '2026-01-05T00:00:00Z',
    )
    expect(keptOf(points, { weekly: 3 })).toEqual([4, 3, 1])
    expect(keptOf(points, { yearly: 2 })).toEqual([4, 2])
    expect(keptOf(points, { monthly: 9 })).toEqual([4, 2])
  })

  it('days are those of the rules time zone, on days of 23 and 25 hours as well', () => {
    const timeZone = 'Europe/Berlin'
    // 22:30 and 23:30 UTC lie on two days in Berlin in winter, on one in summer.
    expect(keptOf(pointsAt('2026-01-10T22:30:00Z', '2026-01-10T23:30:00Z'), { daily: 5, timeZone })).toEqual([2, 1])
    expect(keptOf(pointsAt('2026-07-10T22:30:00Z', '2026-07-10T23:30:00Z'), { daily: 5, timeZone })).toEqual([2])
    const spring = pointsAt(
      '2026-03-28T22:59:00Z',
      '2026-03-28T23:00:00Z',
      '2026-03-29T21:59:00Z',
      '2026-03-29T22:00:00Z',
    )
    expect(keptOf(spring, { daily: 9, timeZone })).toEqual([4, 3, 1])
    const autumn = pointsAt(
      '2026-10-24T21:59:00Z',
      '2026-10-24T22:00:00Z',
      '2026-10-25T22:59:00Z',
      '2026-10-25T23:00:00Z',
    )
    expect(keptOf(autumn, { daily: 9, timeZone })).toEqual([4, 3, 1])
  })

  it('the newest proven point never goes, nor what is held; unproven ones use up no place of proven ones', () => {
    const points = [
      pointAt('2026-01-01T10:00:00Z', 1, { isHeld: true }),
      pointAt('2026-01-02T10:00:00Z', 2),
      pointAt('2026-01-03T10:00:00Z', 3),
      pointAt('2026-01-04T10:00:00Z', 4, { isProven: false }),
      pointAt('2026-01-05T10:00:00Z', 5, { isProven: false }),
    ]
    expect(keptOf(points, {})).toEqual([3, 1])
    expect(keptOf(points, { last: 1 })).toEqual([5, 3, 1])
    expect(keptOf(points, { daily: 2 })).toEqual([5, 4, 3, 2, 1])
    expect(letGo(points, { ...none, last: 1 }).map(({ sequence }) => sequence)).toEqual([2, 4])
  })

  it('without rules lets nothing go', () => {
    const points = pointsAt('2026-01-01T10:00:00Z', '2026-01-02T10:00:00Z')
    expect(letGo(points, null)).toEqual([])
    expect(judgePoints(points, null).every(({ reasons }) => reasons.join() === 'no-rules')).toBe(true)
  })

  it('keeps what the plain model keeps, and more points never make it keep less of a kind', () =>
    fc.assert(
      fc.property(pointLists(), ruleSets(), (points, rules) => {
        const kept = new Set(keptOf(points, rules))
        const expected = points.filter((point) => isKeptByModel(point, points, rules)).map(({ sequence }) => sequence)
        expect([...kept].toSorted((a, b) => a - b)).toEqual(expected)
        for (const point of points) if (point.isHeld) expect(kept.has(point.sequence)).toBe(true)
        const newest = points.findLast(({ isProven }) => isProven)
        if (newest !== undefined) expect(kept.has(newest.sequence)).toBe(true)
        const days = new Set(points.map(({ takenAt }) => dayOf(takenAt, rules.timeZone)))
        if (rules.daily > 0) expect(kept.size).toBeGreaterThanOrEqual(Math.min(rules.daily, days.size))
      }),
      { numRuns: 300 },
    ))

  it('judging again what was kept lets nothing more go', () =>
    fc.assert(
      fc.property(pointLists(), ruleSets(), (points, rules) => {
        const first = keptOf(points, rules)
        const left = points.filter(({ sequence }) => first.includes(sequence))
        expect(keptOf(left, rules)).toEqual(first)
      }),
      { numRuns: 200 },
    ))
})

function pointLists(): fc.Arbitrary<readonly KeepablePoint[]> {
  // Around both changes of the clock and the end of a year, so that edges are met often.
  const starts = [Date.UTC(2026, 2, 27), Date.UTC(2026, 9, 23), Date.UTC(2025, 11, 26), Date.UTC(2026, 5, 1)]
  const point = fc.record({
    hours: fc.integer({ min: 0, max: 900 }),
    isProven: fc.boolean(),
    isHeld: fc.integer({ min: 0, max: 9 }).map((dice) => dice === 0),
  })
  return fc
    .tuple(fc.constantFrom(...starts), fc.array(point, { maxLength: 30 }))
    .map(([start, list]) =>
      list
        .toSorted((a, b) => a.hours - b.hours)
        .map(({ hours, isProven, isHeld }, index) =>
          pointAt(new Date(start + hours * 3_600_000).toISOString(), index + 1, { isProven, isHeld }),
        ),
    )
}

function ruleSets(): fc.Arbitrary<KeepRules> {
  const count = fc.integer({ min: 0, max: 6 })
  return fc.record({
    last: count,
    daily: count,
    weekly: count,
    monthly: count,
    yearly: count,
    timeZone: fc.constantFrom('UTC', 'Europe/Berlin', 'Pacific/Auckland', 'America/St_Johns'),
  })
}

function isKeptByModel(point: KeepablePoint, points: readonly KeepablePoint[], rules: KeepRules): boolean {
  const proven = points.filter(({ isProven }) => isProven)
  if (point.isHeld || proven.at(-1) === point) return true
  return [proven, points].some((some) => some.includes(point) && isKeptAmong(point, some, rules))
}

function isKeptAmong(point: KeepablePoint, some: readonly KeepablePoint[], rules: KeepRules): boolean {
  const later = some.filter(({ sequence }) => sequence > point.sequence)
  if (later.length < rules.last) return true
  const periods: readonly (readonly [number, (at: string) => string])[] = [
    [rules.daily, (at) => dayOf(at, rules.timeZone)],
    [rules.weekly, (at) => String(weekNumber(dayOf(at, rules.timeZone)))],
    [rules.monthly, (at) => dayOf(at, rules.timeZone).slice(0, 7)],
    [rules.yearly, (at) => dayOf(at, rules.timeZone).slice(0, 4)],
  ]
  return periods.some(([count, nameOf]) => {
    const own = nameOf(point.takenAt)
    if (later.some(({ takenAt }) => nameOf(takenAt) === own)) return false
    return new Set(later.map(({ takenAt }) => nameOf(takenAt))).size < count
  })
}

function dayOf(at: string, timeZone: string): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZone, dateStyle: 'short' }).formatToParts(new Date(at))
  const part = (type: string) => parts.find((each) => each.type === type)?.value ?? ''
  return `20${part('year')}-${part('month').padStart(2, '0')}-${part('day').padStart(2, '0')}`
}

/** Weeks since a Monday long ago. */
function weekNumber(day: string): number {
  return Math.floor((Date.parse(day) - Date.UTC(2001, 0, 1)) / (7 * 86_400_000))
}
