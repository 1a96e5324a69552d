// The queue of a policy against chance: nothing that joined is lost or goes twice, the budget holds, the most urgent go first.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ALARM_PAUSE_FIRST_MS,
  ALARM_PAUSE_MOST_MS,
  ALARM_RUN_VMS_MAX,
  type AlarmQueue,
  type AlarmQueueEntry,
  beginRun,
  endRun,
  isQueueDue,
  joinQueue,
  newAlarmQueue,
  startingEntries,
} from '../../lib/model/alarm-queue.ts'
import { alarmIdOf, parseVmId } from '../../lib/model/ids.ts'

function entry(number: number, change: Partial<AlarmQueueEntry> = {}): AlarmQueueEntry {
  return {
    alarmId: alarmIdOf({ source: 'snmp', key: String(number) }),
    vmId: parseVmId(`00000000-0000-4000-8000-${String(number).padStart(12, '0')}`),
    rank: 1,
    atMs: 1_000_000,
    ...change,
  }
}

const joined = (queue: AlarmQueue, ...entries: readonly AlarmQueueEntry[]) =>
  entries.reduce((before, each) => joinQueue(before, each).next, queue)

const now = (ms: number, change = {}) => ({ ms, day: '2026-01-02', budgetPerDay: 20, isPolicyActive: true, ...change })

describe('the alarm queue', () => {
  it('lets the first go at once, what is urgent a minute after, and the rest after a pause that doubles', () => {
    let queue = joined(newAlarmQueue(), entry(0))
    expect(queue.dueAtMs).toBe(1_000_000)
    const pauses: number[] = []
    for (let run = 1; run <= 7; run++) {
      const atMs = queue.dueAtMs ?? 0
      queue = endRun(beginRun(queue, now(atMs)))
      expect(queue.dueAtMs).toBeNull()
      const urgent = joined(queue, entry(100 + run, { rank: 0, atMs }))
      expect((urgent.dueAtMs ?? 0) - atMs).toBe(ALARM_PAUSE_FIRST_MS)
      queue = joined(queue, entry(run, { atMs }))
      pauses.push((queue.dueAtMs ?? 0) - atMs)
    }
    expect(pauses.map((ms) => ms / ALARM_PAUSE_FIRST_MS)).toEqual([1, 2, 4, 8, 15, 15, 15])
    expect(pauses.at(-1)).toBe(ALARM_PAUSE_MOST_MS)
  })

  it('keeps one entry a VM, which a more urgent alarm of it moves forward', () => {
    const first = endRun(beginRun(endRun(beginRun(joined(newAlarmQueue(), entry(0)), now(1e6))), now(1e6)))
    const queue = joined(first, entry(1, { rank: 2, atMs: 1e6 }), entry(2, { rank: 1, atMs: 1e6 }))
    const again = joinQueue(queue, { ...entry(1), alarmId: entry(9).alarmId, rank: 0 })
    expect(again.outcome).toEqual({ vmWaitsFor: entry(1).alarmId })
    expect(again.next.waiting).toHaveLength(2)
    expect(again.next.dueAtMs).toBeLessThan(queue.dueAtMs ?? 0)
    expect(startingEntries(beginRun(again.next, now(9e9))).map(({ alarmId }) => alarmId)).toEqual([
      entry(1).alarmId,
      entry(2).alarmId,
    ])
  })

  it('does again what was begun and not ended, and leaves out nobody who joins meanwhile', () => {
    const begun = beginRun(joined(newAlarmQueue(), entry(1), entry(2)), now(2e6))
    const later = joined(begun, entry(3, { atMs: 2e6 }))
    expect(isQueueDue(later, 0)).toBe(true)
    expect(startingEntries(later)).toEqual(startingEntries(begun))
    expect(endRun(later).waiting).toEqual([entry(3, { atMs: 2e6 })])
  })

  it('of a policy that is gone, or whose budget is spent, lets nobody go', () => {
    const queue = joined(newAlarmQueue(), entry(1), entry(2))
    for (const [change, verdict] of [
      [{ isPolicyActive: false }, 'policy-removed'],
      [{ budgetPerDay: 0 }, 'budget-spent'],
    ] as const) {
      const begun = beginRun(queue, now(2e6, change))
      expect(begun).toMatchObject({ spent: 0, starting: { verdict, count: 2 } })
      expect(endRun(begun)).toMatchObject({ waiting: [], dueAtMs: null })
    }
  })

  it('lets each that joined go once, the most urgent first, within the budget', () => {
    const joins = fc.array(fc.record({ vm: fc.nat(2_500), rank: fc.nat(2), gapMs: fc.nat(90_000) }), { maxLength: 400 })
    fc.assert(
      fc.property(joins, fc.integer({ min: 1, max: 6 }), (list, budgetPerDay) => {
        let queue = newAlarmQueue()
        let nowMs = 1_000_000
        let number = 10_000
        const joinedIds: string[] = []
        const went: string[] = []
        const runs: number[] = []
        const turn = () => {
          while (isQueueDue(queue, nowMs)) {
            const begun = beginRun(queue, now(nowMs, { budgetPerDay }))
            const entries = startingEntries(begun)
            const ranks = entries.map(({ rank }) => rank)
            expect(ranks).toEqual(ranks.toSorted())
            expect(entries.length).toBeLessThanOrEqual(begun.starting?.verdict === 'run' ? ALARM_RUN_VMS_MAX : 1e9)
            if (begun.starting?.verdict === 'run') runs.push(nowMs)
            went.push(...entries.map(({ alarmId }) => alarmId))
            queue = endRun(begun)
          }
        }
        for (const { vm, rank, gapMs } of list) {
          nowMs += gapMs
          turn()
          const { alarmId } = entry(++number)
          const { next, outcome } = joinQueue(queue, { ...entry(vm), alarmId, rank, atMs: nowMs })
          queue = next
          if (outcome === 'joined') joinedIds.push(alarmId)
          turn()
        }
        nowMs += ALARM_PAUSE_MOST_MS
        turn()
        expect(queue.waiting).toEqual([])
        expect(went.toSorted()).toEqual(joinedIds.toSorted())
        expect(runs.length).toBeLessThanOrEqual(budgetPerDay)
        for (const [index, ms] of runs.entries())
          if (index > 0) expect(ms - (runs[index - 1] ?? 0)).toBeGreaterThanOrEqual(ALARM_PAUSE_FIRST_MS)
      }),
      { numRuns: 60 },
    )
  })
})
