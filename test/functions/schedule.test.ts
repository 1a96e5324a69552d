// The door of schedules as Lambda calls it, on the event that the adapter puts into a schedule.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from 'aws-lambda'
import { describe, expect, it } from 'vitest'
import { eventHandler } from '../../functions/_event-handler.ts'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryLog, memoryMetrics } from '../../lib/adapters/memory/log.ts'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { memoryQueue } from '../../lib/adapters/memory/queue.ts'
import { memorySchedules } from '../../lib/adapters/memory/schedules.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { openScheduleDoor } from '../../lib/compose/schedule-door.ts'
import { startScheduled } from '../../lib/doors/schedule.ts'
import { applyPolicies } from '../../lib/operate/policy-apply.ts'
import { parseScheduleEvent } from '../../lib/wire/schedule-event.ts'
import { wanted } from '../operate/policy-kit.ts'

process.env['POWERTOOLS_LOG_LEVEL'] = 'SILENT'

const cancel = { signal: new AbortController().signal }
const context = {
  awsRequestId: 'request-1',
  functionName: 'coldframe-test',
  getRemainingTimeInMillis: () => 30_000,
} as Context

async function readEvent(): Promise<unknown> {
  return JSON.parse(await readFile(join(import.meta.dirname, '..', '..', 'events', 'schedule.json'), 'utf8'))
}

async function door() {
  const clock = manualClock(Date.parse('2026-11-27T22:00:03Z'))
  const deps = {
    clock,
    jobStore: memoryJobStore(),
    sender: memoryQueue({ clock, receivesMax: 5 }),
    log: memoryLog(),
    metrics: memoryMetrics(),
  }
  const apply = { ...deps, schedules: memorySchedules(), scripts: memoryObjectStore({ clock }) }
  const policies = [wanted('name: gold\nschedule: {cron: "0 22 * * *"}\n')]
  await applyPolicies({ policies, prune: false, by: 'test' }, apply, cancel)
  const handler = eventHandler(
    { name: 'schedule', failed: 'schedule.failed' },
    () => (event, within) => startScheduled(parseScheduleEvent(event), deps, within),
  )
  return { deps, handler }
}

describe('the function schedule', () => {
  it('starts the policy of its event, once for all copies of it', async () => {
    const { deps, handler } = await door()
    const answer = await handler(await readEvent(), context)
    expect(answer).toMatchObject({ kind: 'started' })
    expect(await handler(await readEvent(), context)).toEqual(answer)
    const runs = await deps.jobStore.recentRuns({ limit: 9 }, cancel)
    expect(runs).toMatchObject([
      { door: 'schedule', scheduledAt: '2026-11-27T22:00:00.000Z', policy: { name: 'gold' } },
    ])
  })

  it.each([
    ['an event of something else', { source: 'aws.scheduler' }],
    ['no time', { v: 1, policy: 'gold' }],
    ['a time that was not filled in', { v: 1, policy: 'gold', scheduledTime: '<aws.scheduler.scheduled-time>' }],
    ['a name that is none', { v: 1, policy: '../x', scheduledTime: '2026-11-27T22:00:00Z' }],
    ['another version', { v: 2, policy: 'gold', scheduledTime: '2026-11-27T22:00:00Z' }],
    ['nothing', null],
  ])('refuses %s and starts nothing', async (_what, event) => {
    const { deps, handler } = await door()
    await expect(handler(event, context)).rejects.toMatchObject({ code: 'schedule-malformed' })
    expect(await deps.jobStore.recentRuns({ limit: 9 }, cancel)).toEqual([])
  })

  it('does not start without its settings, and names what is missing', () => {
    const frame = { log: memoryLog(), metrics: memoryMetrics(), environment: {} }
    expect(() => openScheduleDoor(frame)).toThrow(/COLDFRAME_TABLE/)
  })
})
