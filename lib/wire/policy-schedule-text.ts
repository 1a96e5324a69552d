// When backups start, and what alarms may start, as a policy's YAML says it.

import * as z from 'zod'
import { parseCron, schedulerExpression, timeOfDay as timeOfDayOf } from '../model/cron.ts'
import { cronFault, nextTimes } from '../model/cron-times.ts'
import { defaultPolicy, type Policy } from '../model/policy.ts'
import { isWindowOpen, minutesOf } from '../model/window.ts'
import { alarmAction } from './policy-record.ts'
import { DAY, duration, MINUTE, pattern, timeOfDay, timeZone, wholeMinutes } from './policy-scalars.ts'

const oneOfThree = ['cron', 'every', 'rpo'] as const
const interval = { leastMs: 5 * MINUTE, mostMs: 30 * DAY, words: '5 m to 30 d' }

const cron = z
  .string()
  .superRefine((text, context) => {
    const fault = faultOfCron(text)
    if (fault !== null) context.addIssue({ code: 'custom', message: fault })
  })
  .meta({
    pattern: '^\\s*\\S+(\\s+\\S+){4}\\s*$',
    description:
      'Minute, hour, day of the month, month, weekday (0 is Sunday); days of the month or weekdays, not both',
    examples: ['0 22 * * *', '30 1 * * MON-FRI', '0 4 L * *'],
  })

export const schedule = z
  .strictObject({
    cron: z.exactOptional(cron),
    every: z.exactOptional(
      wholeMinutes(interval).meta({ description: 'Start again after so long: "15m", "6h", "1d"' }),
    ),
    rpo: z.exactOptional(
      wholeMinutes(interval).meta({ description: 'How old a VM\'s newest restore point may become: "4h"' }),
    ),
    timeZone: timeZone.default('UTC').meta({ description: 'What cron fields and window are read in' }),
    window: z.exactOptional(
      z
        .strictObject({
          open: z.exactOptional(timeOfDay.meta({ description: "From when; without it: cron's own time of day" })),
          close: timeOfDay.meta({ description: 'Until when backups may begin; one that has begun comes to its end' }),
        })
        .meta({ description: 'The time of day in which backups may begin; over midnight if close is the earlier' }),
    ),
    jitter: z.exactOptional(
      wholeMinutes({ leastMs: MINUTE, mostMs: DAY, words: '1 m to 1 d' }).meta({
        description: 'Starts come at their time or at most so much later',
      }),
    ),
  })
  .refine((given) => oneOfThree.filter((name) => given[name] !== undefined).length === 1, {
    error: 'needs one of cron, every and rpo, and no more',
    when: ({ value }) => typeof value === 'object' && value !== null,
  })
  .superRefine((given, context) => {
    for (const { path, message } of faultsBetween(given)) context.addIssue({ code: 'custom', path: [...path], message })
  })
  .meta({
    description: 'When backups start',
    oneOf: oneOfThree.map((name) => ({ required: [name] })),
  })

const alarmRule = z
  .strictObject({
    alarm: pattern.meta({ description: "A pattern of the alarm's name", examples: ['*ransom*'] }),
    criticality: z.exactOptional(
      z.array(pattern).min(1).meta({ description: 'Words of the source that rates it; left out: any' }),
    ),
    action: alarmAction.meta({ description: 'What is done for the VM that the alarm is about' }),
    storage: z.exactOptional(
      z.boolean().meta({
        description: 'Also alarms of storage, snapshots and consolidation, which our own snapshots may raise',
      }),
    ),
  })
  .meta({ description: 'The first rule that matches an alarm decides' })

export const alarms = z
  .strictObject({
    rules: z.array(alarmRule).default([]),
    debounce: z.exactOptional(
      duration({ leastMs: 0, mostMs: 7 * DAY, words: '0 s to 7 d' }).meta({
        description: 'After an alarm has acted on a VM, further ones are only recorded for so long (default 30m)',
      }),
    ),
    budgetPerDay: z.exactOptional(
      z.int().min(0).max(10_000).meta({ description: 'How many runs alarms may start in a day (default 20)' }),
    ),
  })
  .meta({ description: 'What alarms of vCenter may start' })

type ScheduleText = z.output<typeof schedule>

export function scheduleOf(when: ScheduleText): NonNullable<Policy['schedule']> {
  return {
    cron: when.cron ?? null,
    rateMs: when.every ?? null,
    rpoMs: when.rpo ?? null,
    timeZone: when.timeZone,
    windowOpen: when.window?.open ?? null,
    windowClose: when.window?.close ?? null,
    jitterMs: when.jitter ?? 0,
  }
}

export function alarmsOf({ rules, debounce, budgetPerDay }: z.output<typeof alarms>): Policy['alarms'] {
  const base = defaultPolicy().alarms
  return { rules, debounceMs: debounce ?? base.debounceMs, budgetPerDay: budgetPerDay ?? base.budgetPerDay }
}

function faultOfCron(text: string): string | null {
  const fault = cronFault(text)
  if (fault !== null) return fault
  const written = schedulerExpression({ kind: 'cron', fields: text })
  return 'fault' in written ? written.fault : null
}

type Fault = { readonly path: readonly string[]; readonly message: string }

/** Starts that are looked at for one inside the window; a rarer hit is as good as none. */
const startsMax = 400

/** What does not go together, once each part is right by itself. */
function faultsBetween(given: ScheduleText): readonly Fault[] {
  const { window, jitter } = given
  const faults: Fault[] = []
  const least = given.every ?? given.rpo ?? Number.POSITIVE_INFINITY
  if (jitter !== undefined && jitter >= least) {
    faults.push({ path: ['jitter'], message: `must be shorter than ${given.every === undefined ? 'rpo' : 'every'}` })
  }
  if (window === undefined) return faults
  const parsed = given.cron === undefined ? null : parseCron(given.cron)
  if (window.open === window.close) {
    faults.push({ path: ['window'], message: 'opens and closes at the same time: leave it out to have it always open' })
  } else if (window.open === undefined && (parsed === null || 'fault' in parsed || timeOfDayOf(parsed.cron) === null)) {
    const message = 'needs open: only a cron with one time of day says by itself when the window opens'
    faults.push({ path: ['window'], message })
  } else if (given.rpo !== undefined && closedMs(window) >= given.rpo) {
    faults.push({ path: ['window'], message: 'is closed for longer than rpo: it would be missed every day' })
  } else if (given.cron !== undefined) {
    const policy = { schedule: scheduleOf(given) }
    const starts = nextTimes({ fields: given.cron, timeZone: given.timeZone }, Date.UTC(2025, 0, 1), startsMax)
    if (!starts.some((ms) => isWindowOpen(policy, ms)))
      faults.push({ path: ['window'], message: 'is never open when cron starts a backup' })
  }
  return faults
}

/** How long a window is closed, once a day. */
function closedMs({ open, close }: NonNullable<ScheduleText['window']>): number {
  const opens = minutesOf(open ?? null) ?? 0
  const closes = minutesOf(close) ?? 0
  return ((opens - closes + 1_440) % 1_440) * MINUTE
}
