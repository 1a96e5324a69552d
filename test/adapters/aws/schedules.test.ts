import { describe, expect, it } from 'vitest'
import { schedulerSchedules } from '../../../lib/adapters/aws/schedules.ts'
import { parsePolicyName } from '../../../lib/model/ids.ts'
import type { Schedule } from '../../../lib/ports/schedules.ts'
import { parseScheduleEvent } from '../../../lib/wire/schedule-event.ts'
import { scheduleOf, schedulesContract } from '../../contract/schedules.ts'
import { arnOf } from '../../kit/aws/identity.ts'
import { impatience } from '../../kit/aws/patience.ts'
import { openScheduler, type SchedulerServer } from '../../kit/aws/scheduler.ts'

const cancel = { signal: new AbortController().signal }
const settings = {
  group: 'coldframe',
  role: 'arn:aws:iam::111122223333:role/scheduler',
  target: arnOf('lambda', 'function:schedule'),
  deadLetters: null as string | null,
}
const schedulesOf = (server: SchedulerServer, change: Partial<typeof settings> = {}) =>
  schedulerSchedules({ ...settings, ...change }, impatience(server).settings)

schedulesContract('EventBridge Scheduler', async () => {
  const server = await openScheduler({ group: 'coldframe' })
  return { schedules: schedulesOf(server), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
})

describe('schedules of EventBridge Scheduler', () => {
  it.each([
    ['0 22 * * *', 'cron(0 22 * * ? *)'],
    ['30 9 * * 1-5', 'cron(30 9 ? * 2-6 *)'],
    ['0 0 * * 0', 'cron(0 0 ? * 1 *)'],
    ['0 0 * * 7', 'cron(0 0 ? * 1 *)'],
    ['0 0 * * SAT,SUN', 'cron(0 0 ? * 1,7 *)'],
    ['0 0 * * 5L', 'cron(0 0 ? * 6L *)'],
    ['0 0 * * 6#2', 'cron(0 0 ? * 7#2 *)'],
    ['0 0 L * *', 'cron(0 0 L * ? *)'],
    ['*/20 6,18 1 JAN *', 'cron(0,20,40 6,18 1 1 ? *)'],
  ])('have six fields, with weekdays counted from 1 for Sunday: %s', async (fields, expression) => {
    await using server = await openScheduler({ group: 'coldframe' })
    await schedulesOf(server).put(scheduleOf({ when: { kind: 'cron', fields } }), cancel)
    expect(server.kept.get('gold')?.ScheduleExpression).toBe(expression)
  })

  it.each([
    [60_000, 'rate(1 minute)'],
    [90 * 60_000, 'rate(90 minutes)'],
    [3_600_000, 'rate(1 hour)'],
    [48 * 3_600_000, 'rate(2 days)'],
  ])('say an interval in the largest unit that fits: %d ms', async (everyMs, expression) => {
    await using server = await openScheduler({ group: 'coldframe' })
    await schedulesOf(server).put(scheduleOf({ when: { kind: 'rate', everyMs } }), cancel)
    expect(server.kept.get('gold')?.ScheduleExpression).toBe(expression)
  })

  it('tell the door the policy and its time, with a window for jitter, a time zone and bounded retries', async () => {
    await using server = await openScheduler({ group: 'coldframe' })
    await schedulesOf(server).put(scheduleOf({ jitterMs: 15 * 60_000 }), cancel)
    const kept = server.kept.get('gold')
    expect(kept).toMatchObject({
      ...{ GroupName: 'coldframe', ScheduleExpressionTimezone: 'Europe/Berlin', State: 'ENABLED' },
      FlexibleTimeWindow: { Mode: 'FLEXIBLE', MaximumWindowInMinutes: 15 },
      Target: {
        ...{ Arn: settings.target, RoleArn: settings.role },
        RetryPolicy: { MaximumEventAgeInSeconds: 7200, MaximumRetryAttempts: 60 },
      },
    })
    const input = kept?.Target.Input?.replace('<aws.scheduler.scheduled-time>', '2026-11-27T21:00:00Z') ?? ''
    expect(parseScheduleEvent(JSON.parse(input))).toEqual({ policy: 'gold', scheduledAt: '2026-11-27T21:00:00Z' })
  })

  it('leave what never reached the door in a queue, when there is one', async () => {
    await using server = await openScheduler({ group: 'coldframe' })
    const deadLetters = arnOf('sqs', 'buried')
    await schedulesOf(server).put(scheduleOf(), cancel)
    expect(server.kept.get('gold')?.Target).not.toHaveProperty('DeadLetterConfig')
    expect(await schedulesOf(server, { deadLetters }).put(scheduleOf(), cancel)).toBe('changed')
    expect(server.kept.get('gold')?.Target).toMatchObject({ DeadLetterConfig: { Arn: deadLetters } })
    expect(await schedulesOf(server, { deadLetters }).put(scheduleOf(), cancel)).toBe('same')
  })

  it('that somebody switched off or pointed elsewhere are put right', async () => {
    await using server = await openScheduler({ group: 'coldframe' })
    const schedules = schedulesOf(server)
    await schedules.put(scheduleOf(), cancel)
    const kept = server.kept.get('gold')
    if (kept === undefined) throw new Error('it was kept')
    server.kept.set('gold', { ...kept, State: 'DISABLED' })
    expect(await schedules.put(scheduleOf(), cancel)).toBe('changed')
    server.kept.set('gold', { ...kept, Target: { ...kept.Target, Arn: arnOf('lambda', 'function:other') } })
    expect(await schedules.put(scheduleOf(), cancel)).toBe('changed')
    expect(server.kept.get('gold')).toMatchObject({ State: 'ENABLED', Target: { Arn: settings.target } })
  })

  it('that are changed back are not taken for the earlier call', async () => {
    await using server = await openScheduler({ group: 'coldframe' })
    const schedules = schedulesOf(server)
    for (const timeZone of ['UTC', 'Europe/Berlin', 'UTC', 'Europe/Berlin']) {
      await schedules.put(scheduleOf({ timeZone }), cancel)
      expect(server.kept.get('gold')?.ScheduleExpressionTimezone).toBe(timeZone)
    }
  })

  it('are put once when an answer is lost, whatever it was', async () => {
    for (const lost of ['GetSchedule', 'CreateSchedule', 'UpdateSchedule', 'DeleteSchedule']) {
      await using server = await openScheduler({ group: 'coldframe' })
      const schedules = schedulesOf(server)
      server.strike(({ operation, number }) =>
        operation === lost && number === 1 ? { kind: 'lost', when: 'after' } : null,
      )
      expect(await schedules.put(scheduleOf(), cancel)).toBe('created')
      expect(await schedules.put(scheduleOf({ timeZone: 'UTC' }), cancel)).toBe('changed')
      expect(await schedules.remove(scheduleOf().policy, cancel)).toBe('removed')
      expect(server.kept.size).toBe(0)
    }
  })

  it('that two put at once end as one of them wanted', async () => {
    await using server = await openScheduler({ group: 'coldframe' })
    const put = (change: Partial<Schedule>) => schedulesOf(server).put(scheduleOf(change), cancel)
    const answers = await Promise.all([put({ timeZone: 'UTC' }), put({ timeZone: 'Europe/Berlin' }), put({})])
    expect(answers).toContain('created')
    expect(server.kept.size).toBe(1)
  })

  it('are listed over pages, without those of others', async () => {
    await using server = await openScheduler({ group: 'coldframe', pageSize: 2 })
    const schedules = schedulesOf(server)
    const names = ['a', 'b', 'c', 'd', 'e'].map((name) => parsePolicyName(name))
    for (const policy of names) await schedules.put(scheduleOf({ policy }), cancel)
    const [own] = server.kept.values()
    if (own !== undefined) server.kept.set('Not_ours', { ...own, Name: 'Not_ours' })
    expect((await schedules.list(cancel)).toSorted()).toEqual(names)
  })

  it('name the group that is missing, a time zone that is unknown, and a refusal', async () => {
    await using server = await openScheduler({ group: 'coldframe' })
    await expect(schedulesOf(server, { group: 'other' }).put(scheduleOf(), cancel)).rejects.toMatchObject({
      code: 'schedule-group-missing',
    })
    await expect(schedulesOf(server).put(scheduleOf({ timeZone: 'Mars/Olympus' }), cancel)).rejects.toMatchObject({
      code: 'schedule-refused',
    })
    server.strike(() => ({ kind: 'error', code: 'AccessDeniedException', status: 403 }))
    await expect(schedulesOf(server).put(scheduleOf(), cancel)).rejects.toMatchObject({ code: 'aws-refused' })
    await expect(schedulesOf(server).remove(scheduleOf().policy, cancel)).rejects.toMatchObject({ code: 'aws-refused' })
    await expect(schedulesOf(server).list(cancel)).rejects.toMatchObject({ code: 'aws-refused' })
  })
})
