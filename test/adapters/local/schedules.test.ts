// The scheduler of one machine: the port's contract, what is due when, and starts that happen once whatever dies.

import { describe, expect, it } from 'vitest'
import { sqliteSchedules } from '../../../lib/adapters/local/schedules.ts'
import { memoryJobStore } from '../../../lib/adapters/memory/job-store.ts'
import { memoryLog, memoryMetrics } from '../../../lib/adapters/memory/log.ts'
import { memoryObjectStore } from '../../../lib/adapters/memory/object-store.ts'
import { memoryQueue } from '../../../lib/adapters/memory/queue.ts'
import { type ManualClock, manualClock, systemClock } from '../../../lib/base/clock.ts'
import { startDue } from '../../../lib/compose/start-due.ts'
import { dueStart, jitterOf } from '../../../lib/model/due-start.ts'
import { parsePolicyName } from '../../../lib/model/ids.ts'
import { applyPolicies } from '../../../lib/operate/policy-apply.ts'
import { scheduleOf, schedulesContract } from '../../contract/schedules.ts'
import { temporaryState } from '../../kit/local-state.ts'
import { wanted } from '../../operate/policy-kit.ts'

const HOUR_MS = 3_600_000
const cancel = { signal: new AbortController().signal }

schedulesContract('one machine', async () => {
  const temporary = await temporaryState()
  return {
    schedules: sqliteSchedules(temporary.state, { clock: systemClock }),
    [Symbol.asyncDispose]: () => temporary[Symbol.asyncDispose](),
  }
})

describe('dueStart()', () => {
  const at = (text: string) => Date.parse(text)
  const due = (change: Parameters<typeof scheduleOf>[0], doneAt: string, now: string) => {
    const found = dueStart(scheduleOf(change), { anchorMs: at(doneAt), doneMs: at(doneAt) }, at(now))
    return found === null ? null : `${new Date(found.atMs).toISOString()} ${found.missed}`
  }

  it('is the newest time of the cron that is not done, and tells how many came before it', () => {
    expect(due({}, '2026-01-10T20:00:00Z', '2026-01-10T20:59:59Z')).toBeNull()
    expect(due({}, '2026-01-10T20:00:00Z', '2026-01-10T21:00:00Z')).toBe('2026-01-10T21:00:00.000Z 0')
    expect(due({}, '2026-01-10T21:00:00Z', '2026-01-10T22:00:00Z')).toBeNull()
    expect(due({}, '2026-01-10T21:00:00Z', '2026-01-14T12:00:00Z')).toBe('2026-01-13T21:00:00.000Z 2')
  })

  it('comes on nights that are short or long, once', () => {
    const when = { kind: 'cron', fields: '30 2 * * *' } as const
    expect(due({ when }, '2026-03-28T12:00:00Z', '2026-03-29T00:59:00Z')).toBeNull()
    expect(due({ when }, '2026-03-28T12:00:00Z', '2026-03-29T01:00:00Z')).toBe('2026-03-29T01:00:00.000Z 0')
    expect(due({ when }, '2026-10-24T12:00:00Z', '2026-10-25T00:30:00Z')).toBe('2026-10-25T00:30:00.000Z 0')
    expect(due({ when }, '2026-10-25T00:30:00Z', '2026-10-25T01:45:00Z')).toBeNull()
  })

  it('is a multiple of the interval for a rate', () => {
    const when = { kind: 'rate', everyMs: HOUR_MS } as const
    expect(due({ when }, '2026-01-01T00:10:00Z', '2026-01-01T01:09:00Z')).toBeNull()
    expect(due({ when }, '2026-01-01T00:10:00Z', '2026-01-01T01:10:00Z')).toBe('2026-01-01T01:10:00.000Z 0')
    expect(due({ when }, '2026-01-01T00:10:00Z', '2026-01-01T05:00:00Z')).toBe('2026-01-01T04:10:00.000Z 3')
  })

  it('waits for its jitter, which is the same each time and less than the most', () => {
    const jitterMs = 20 * 60_000
    const later = jitterOf({ policy: 'gold', jitterMs })
    expect(later).toBeGreaterThan(0)
    expect(later).toBeLessThan(jitterMs)
    expect(jitterOf({ policy: 'silver', jitterMs })).not.toBe(later)
    const time = at('2026-01-10T21:00:00Z')
    const times = { anchorMs: 0, doneMs: time - HOUR_MS }
    expect(dueStart(scheduleOf({ jitterMs }), times, time + later - 1)).toBeNull()
    expect(dueStart(scheduleOf({ jitterMs }), times, time + later)?.atMs).toBe(time)
  })
})

describe('startDue()', () => {
  async function daemon(text: string, startAt: string) {
    const temporary = await temporaryState()
    const clock: ManualClock = manualClock(Date.parse(startAt))
    const schedules = sqliteSchedules(temporary.state, { clock })
    const deps = {
      clock,
      schedules,
      jobStore: memoryJobStore(),
      sender: memoryQueue({ clock, receivesMax: 5 }),
      log: memoryLog(),
      metrics: memoryMetrics(),
    }
    const scripts = memoryObjectStore({ clock })
    await applyPolicies({ policies: [wanted(text)], prune: false, by: 'test' }, { ...deps, scripts }, cancel)
    const runs = async () =>
      (await deps.jobStore.recentRuns({ limit: 100 }, cancel)).map(({ scheduledAt }) => scheduledAt)
    return { deps, clock, runs, [Symbol.asyncDispose]: () => temporary[Symbol.asyncDispose]() }
  }

  it('starts each time once, and after a long sleep only the newest one', async () => {
    await using home = await daemon('name: gold\nschedule: {cron: "0 22 * * *"}', '2026-01-01T12:00:00Z')
    const { deps, clock, runs } = home
    expect(await startDue(deps, cancel)).toEqual([])
    clock.advance(10 * HOUR_MS)
    expect(await startDue(deps, cancel)).toMatchObject([{ scheduledAt: '2026-01-01T22:00:00.000Z', missed: 0 }])
    expect(await startDue(deps, cancel)).toEqual([])
    clock.advance(3 * 24 * HOUR_MS + HOUR_MS)
    expect(await startDue(deps, cancel)).toMatchObject([
      { scheduledAt: '2026-01-04T22:00:00.000Z', missed: 2, lateMs: HOUR_MS, answer: { kind: 'started' } },
    ])
    expect(deps.log.lines.map(({ event }) => event)).toContain('schedule.missed')
    expect(await runs()).toEqual(['2026-01-04T22:00:00.000Z', '2026-01-01T22:00:00.000Z'])
  })

  it('makes one run when it dies before it could note that the time is done, and when two do it at once', async () => {
    await using home = await daemon('name: gold\nschedule: {every: 1h}', '2026-01-01T12:00:00Z')
    const { deps, runs } = home
    const dying = { ...deps, schedules: { ...deps.schedules, done: () => Promise.reject(new Error('killed')) } }
    expect(await startDue(dying, cancel)).toEqual([])
    expect(await runs()).toHaveLength(1)
    expect(await startDue(deps, cancel)).toHaveLength(1)
    home.clock.advance(HOUR_MS)
    await Promise.all([startDue(deps, cancel), startDue(deps, cancel)])
    expect(await runs()).toHaveLength(2)
  })

  it('does not catch up what a changed schedule would have meant in the past, nor start what was removed', async () => {
    await using home = await daemon('name: gold\nschedule: {cron: "0 22 * * *"}', '2026-01-01T12:00:00Z')
    const { deps, clock, runs } = home
    clock.advance(8 * HOUR_MS)
    const when = { kind: 'cron', fields: '0 13 * * *' } as const
    expect(await deps.schedules.put(scheduleOf({ when, timeZone: 'UTC' }), cancel)).toBe('changed')
    expect(await startDue(deps, cancel)).toEqual([])
    await deps.schedules.remove(parsePolicyName('gold'), cancel)
    clock.advance(48 * HOUR_MS)
    expect(await startDue(deps, cancel)).toEqual([])
    expect(await runs()).toEqual([])
  })

  it('goes on with the others when one policy cannot be started, and tries it again', async () => {
    await using home = await daemon('name: gold\nschedule: {every: 1h}', '2026-01-01T12:00:00Z')
    const { deps, runs } = home
    await deps.schedules.put(
      scheduleOf({ policy: parsePolicyName('a-first'), when: { kind: 'rate', everyMs: HOUR_MS } }),
      cancel,
    )
    const { get } = deps.jobStore.policies
    const policies = {
      ...deps.jobStore.policies,
      get: (name: Parameters<typeof get>[0]) =>
        name === 'a-first' ? Promise.reject(new Error('away')) : get(name, cancel),
    }
    const struck = { ...deps, jobStore: { ...deps.jobStore, policies } }
    expect(await startDue(struck, cancel)).toMatchObject([{ policy: 'gold' }])
    expect(await startDue(deps, cancel)).toMatchObject([{ policy: 'a-first', answer: { code: 'policy-unknown' } }])
    expect(await runs()).toHaveLength(1)
  })
})
