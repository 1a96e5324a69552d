// What EventBridge Scheduler sends to the door `schedule`: the input that the adapter put into the schedule, its time filled in.

import * as z from 'zod'
import { BackupError } from '../base/errors.ts'
import type { PolicyName } from '../model/ids.ts'
import { issuesText, policyName } from './scalars.ts'

/** `<aws.scheduler.scheduled-time>` is replaced by an ISO 8601 time in UTC (EventBridge Scheduler User Guide, context attributes). */
const event = z.strictObject({ v: z.literal(1), policy: policyName, scheduledTime: z.iso.datetime() })

/** @throws BackupError `schedule-malformed` (usage) */
export function parseScheduleEvent(value: unknown): { readonly policy: PolicyName; readonly scheduledAt: string } {
  const parsed = event.safeParse(value)
  if (parsed.success) return { policy: parsed.data.policy, scheduledAt: parsed.data.scheduledTime }
  throw new BackupError(`Cannot read the event of a schedule: ${issuesText(parsed.error)}`, {
    code: 'schedule-malformed',
    kind: 'usage',
    hint: 'Schedules are made by "coldframe policy apply"; remove this one',
  })
}
