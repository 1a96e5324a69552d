// "ECS Task State Change", as EventBridge hands it on (Amazon ECS Developer Guide, "Amazon ECS task state change events").

import * as z from 'zod'
import { BackupError } from '../base/errors.ts'
import type { TaskWork } from '../model/task-work.ts'
import { issuesText } from './scalars.ts'
import { parseStartedBy } from './started-by.ts'

/** AWS adds members as it likes. */
const stateChange = z.looseObject({
  source: z.literal('aws.ecs'),
  'detail-type': z.literal('ECS Task State Change'),
  detail: z.looseObject({
    taskArn: z.string().regex(/^arn:aws[a-z-]*:ecs:\S+$/),
    lastStatus: z.string(),
    startedBy: z.string().optional(),
    version: z.number().optional(),
    stopCode: z.string().optional(),
    stoppedReason: z.string().optional(),
  }),
})

export type StoppedTask = { readonly taskId: string; readonly work: TaskWork; readonly reason: string }

/**
 * STOPPED is the last state of a task: whatever comes after it is a copy, or came late, and no version needs to be kept.
 * @returns null for a task of somebody else's, and for one that has not stopped
 * @throws BackupError `task-event-malformed` (usage)
 */
export function parseStoppedTask(value: unknown): StoppedTask | null {
  const parsed = stateChange.safeParse(value)
  if (!parsed.success) {
    throw new BackupError(`Cannot read an event about a task: ${issuesText(parsed.error)}`, {
      code: 'task-event-malformed',
      kind: 'usage',
      hint: 'Something other than Amazon ECS invokes this function, or its rule was changed',
    })
  }
  const { taskArn, lastStatus, startedBy = '', stopCode, stoppedReason } = parsed.data.detail
  const work = parseStartedBy(startedBy)
  if (work === null || lastStatus !== 'STOPPED') return null
  const words = [stoppedReason, stopCode === undefined ? undefined : `(${stopCode})`].filter(
    (word) => word !== undefined,
  )
  return { taskId: taskArn, work, reason: words.join(' ') || 'ECS gives no reason' }
}
