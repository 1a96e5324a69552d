// Backups that alarms ask of one policy: the first starts at once, what comes soon after it goes together in the next run, the most
// urgent first. One record a policy, changed by conditional writes; it also counts what the day's budget has spent. Pure.
//
// A run is begun by one write that spends the budget and says which entries go; then the run is made and each alarm told; the last
// write takes the entries out. Whoever finds a run begun and not ended does those steps again: each finds what is done.

import { ascending } from '../base/text.ts'
import type { AlarmId, VmId } from './ids.ts'

export type AlarmQueueEntry = {
  readonly alarmId: AlarmId
  readonly vmId: VmId
  /** 0 is the most urgent. */
  readonly rank: number
  readonly atMs: number
}

export type AlarmQueue = {
  readonly kind: 'alarms'
  /** The day ("2026-01-31") that `spent` counts runs of. */
  readonly day: string
  readonly spent: number
  readonly lastRunAtMs: number | null
  /** When the next run may begin; null while nothing waits. */
  readonly dueAtMs: number | null
  /** The first `count` of `waiting`, and what becomes of them: a run by this key, or nothing more. */
  readonly starting: {
    readonly verdict: 'run' | 'budget-spent' | 'policy-removed'
    readonly key: string
    readonly count: number
    readonly atMs: number
  } | null
  /** One entry a VM. */
  readonly waiting: readonly AlarmQueueEntry[]
}

/**
 * The least time between two runs that alarms start for one policy: the first pause of a day, which doubles with each run up to the
 * longest, so that a long storm is taken together more and more and does not spend the budget in its first minutes. What is most urgent
 * never waits for longer than the first.
 */
export const ALARM_PAUSE_FIRST_MS = 60_000
export const ALARM_PAUSE_MOST_MS = 15 * 60_000
/** VMs of one run. */
export const ALARM_RUN_VMS_MAX = 1_000
/** The record must fit one item of a table (400 KB). */
export const ALARM_WAITING_MAX = 2_000

export function newAlarmQueue(): AlarmQueue {
  return { kind: 'alarms', day: '', spent: 0, lastRunAtMs: null, dueAtMs: null, starting: null, waiting: [] }
}

export type Joining = {
  /** The same record when there is nothing to write. */
  readonly next: AlarmQueue
  /** 'joined': now or before. 'vm-waits': for an alarm that came earlier. 'full': to be tried again later. */
  readonly outcome: 'joined' | 'full' | { readonly vmWaitsFor: AlarmId }
}

export function joinQueue(queue: AlarmQueue, entry: AlarmQueueEntry): Joining {
  const { waiting } = queue
  if (waiting.some(({ alarmId }) => alarmId === entry.alarmId)) return { next: queue, outcome: 'joined' }
  const before = waiting.find(({ vmId }) => vmId === entry.vmId)
  if (before !== undefined) {
    const raised = before.rank > entry.rank && !isStarting(queue, before)
    if (!raised) return { next: queue, outcome: { vmWaitsFor: before.alarmId } }
    const moved = waiting.map((each) => (each === before ? { ...each, rank: entry.rank } : each))
    const next = { ...queue, dueAtMs: dueWith(queue, entry), waiting: moved }
    return { next, outcome: { vmWaitsFor: before.alarmId } }
  }
  if (waiting.length >= ALARM_WAITING_MAX) return { next: queue, outcome: 'full' }
  return { next: { ...queue, dueAtMs: dueWith(queue, entry), waiting: [...waiting, entry] }, outcome: 'joined' }
}

/** The earlier of what it was and what this entry may have. */
function dueWith(queue: AlarmQueue, { atMs, rank }: AlarmQueueEntry): number {
  return Math.min(queue.dueAtMs ?? Number.POSITIVE_INFINITY, Math.max(atMs, nextRunMs(queue, rank)))
}

/** When somebody of this rank may go. */
function nextRunMs({ lastRunAtMs, spent }: AlarmQueue, rank: number): number {
  if (lastRunAtMs === null) return 0
  const doubled = ALARM_PAUSE_FIRST_MS * 2 ** Math.min(10, Math.max(0, spent - 1))
  return lastRunAtMs + (rank === 0 ? ALARM_PAUSE_FIRST_MS : Math.min(ALARM_PAUSE_MOST_MS, doubled))
}

function isStarting({ starting, waiting }: AlarmQueue, entry: AlarmQueueEntry): boolean {
  return starting !== null && waiting.indexOf(entry) < starting.count
}

/** Whether there is something to do now: a run to begin, or one that was begun and not ended. */
export function isQueueDue({ starting, dueAtMs }: AlarmQueue, nowMs: number): boolean {
  return starting !== null || (dueAtMs !== null && dueAtMs <= nowMs)
}

/** The first write of a run. Of a queue that is due and has none begun. */
export function beginRun(
  queue: AlarmQueue,
  now: {
    readonly ms: number
    readonly day: string
    readonly budgetPerDay: number
    readonly isPolicyActive: boolean
  },
): AlarmQueue {
  const spent = queue.day === now.day ? queue.spent : 0
  const waiting = queue.waiting.toSorted(
    (a, b) => a.rank - b.rank || a.atMs - b.atMs || ascending(a.alarmId, b.alarmId),
  )
  const verdict = !now.isPolicyActive ? 'policy-removed' : spent >= now.budgetPerDay ? 'budget-spent' : 'run'
  const count = verdict === 'run' ? Math.min(ALARM_RUN_VMS_MAX, waiting.length) : waiting.length
  const starting = { verdict, key: waiting[0]?.alarmId ?? '', count, atMs: now.ms } as const
  if (verdict !== 'run') return { ...queue, day: now.day, spent, waiting, starting }
  return { ...queue, day: now.day, spent: spent + 1, lastRunAtMs: now.ms, waiting, starting }
}

/** The entries that the run which was begun is about. */
export function startingEntries({ starting, waiting }: AlarmQueue): readonly AlarmQueueEntry[] {
  return waiting.slice(0, starting?.count ?? 0)
}

/** The last write of a run. */
export function endRun(queue: AlarmQueue): AlarmQueue {
  const waiting = queue.waiting.slice(queue.starting?.count ?? 0)
  const rank = Math.min(...waiting.map((entry) => entry.rank))
  const dueAtMs = waiting.length === 0 ? null : nextRunMs(queue, rank)
  return { ...queue, waiting, starting: null, dueAtMs }
}
