// Which restore points the keep rules of a policy keep, and which they would let go. Pure: nothing here deletes anything.

import { localDay } from '../base/local-day.ts'
import { ascending } from '../base/text.ts'
import type { PointId, VmId } from './ids.ts'
import type { Policy } from './policy.ts'

export type KeepRules = NonNullable<Policy['retention']>

export type KeepablePoint = {
  readonly pointId: PointId
  readonly vmId: VmId
  /** Of its VM, ascending: decides which of two is the newer, whatever clocks did. */
  readonly sequence: number
  /** When its snapshot was taken: ISO 8601, UTC. */
  readonly takenAt: string
  /** Whether nothing speaks against it. */
  readonly isProven: boolean
  /** Whether something keeps it whatever the rules say: a hold, a quarantine, a freeze of retention. */
  readonly isHeld: boolean
}

export type KeepReason = 'last' | 'daily' | 'weekly' | 'monthly' | 'yearly' | 'newest-proven' | 'held' | 'no-rules'

export type Judged<Point extends KeepablePoint> = {
  readonly point: Point
  /** Empty for a point that the rules would let go. */
  readonly reasons: readonly KeepReason[]
}

const CLASSES = ['last', 'daily', 'weekly', 'monthly', 'yearly'] as const

/**
 * Judges the points of one VM. "daily: 7" keeps the newest point of each of the seven newest days that have one, in the time zone of the
 * rules: N means N, and days without a backup use up nothing. Each rule counts by itself. Points that are not proven use up no place of
 * proven ones: the rules run over the proven points, and once more over all, and keep what either keeps. The newest proven point, and what
 * is held, never go.
 * @param points of one VM, in any order
 * @param rules null: everything is kept
 * @returns newest first
 */
export function judgePoints<Point extends KeepablePoint>(
  points: readonly Point[],
  rules: KeepRules | null,
): readonly Judged<Point>[] {
  const newestFirst = points.toSorted((a, b) => b.sequence - a.sequence)
  if (rules === null) return newestFirst.map((point) => ({ point, reasons: ['no-rules'] }))
  const reasons = new Map<Point, Set<KeepReason>>(newestFirst.map((point) => [point, new Set()]))
  const proven = newestFirst.filter(({ isProven }) => isProven)
  for (const some of [proven, newestFirst]) {
    for (const kind of CLASSES) for (const point of keptBy(some, kind, rules)) reasons.get(point)?.add(kind)
  }
  const [newest] = proven
  if (newest !== undefined) reasons.get(newest)?.add('newest-proven')
  for (const point of newestFirst) if (point.isHeld) reasons.get(point)?.add('held')
  return newestFirst.map((point) => ({ point, reasons: [...(reasons.get(point) ?? [])] }))
}

/** The points of several VMs that the rules would let go, by VM and oldest first. */
export function letGo<Point extends KeepablePoint>(
  points: readonly Point[],
  rules: KeepRules | null,
): readonly Point[] {
  if (rules === null) return []
  return [...Map.groupBy(points, ({ vmId }) => vmId).values()].flatMap((ofVm) =>
    judgePoints(ofVm, rules)
      .filter(({ reasons }) => reasons.length === 0)
      .map(({ point }) => point)
      .toReversed(),
  )
}

/** @param points newest first */
function keptBy<Point extends KeepablePoint>(
  points: readonly Point[],
  kind: (typeof CLASSES)[number],
  rules: KeepRules,
): readonly Point[] {
  const count = rules[kind]
  if (count === 0) return []
  if (kind === 'last') return points.slice(0, count)
  const newestOf = new Map<string, Point>()
  for (const point of points) {
    const period = periodOf(kind, localDay(Date.parse(point.takenAt), rules.timeZone))
    if (!newestOf.has(period)) newestOf.set(period, point)
  }
  const newest = [...newestOf].toSorted(([a], [b]) => ascending(b, a)).slice(0, count)
  return newest.map(([, point]) => point)
}

/** Names a period so that later ones sort after earlier ones. @param day "2026-01-31" */
function periodOf(kind: 'daily' | 'weekly' | 'monthly' | 'yearly', day: string): string {
  switch (kind) {
    case 'daily':
      return day
    case 'weekly':
      return mondayOf(day)
    case 'monthly':
      return day.slice(0, 7)
    default:
      return day.slice(0, 4)
  }
}

const DAY_MS = 86_400_000

/** The Monday of a day's week (ISO 8601). */
function mondayOf(day: string): string {
  const ms = Date.parse(`${day}T00:00:00Z`)
  const sinceMonday = (new Date(ms).getUTCDay() + 6) % 7
  return new Date(ms - sinceMonday * DAY_MS).toISOString().slice(0, 10)
}
