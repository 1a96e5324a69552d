// The door of stopped tasks on AWS: the state and three queues, and nothing else. Not the engine: this function carries no stage.

import { dynamoJobStore } from '../adapters/aws/job-store.ts'
import { sqsSender } from '../adapters/aws/queue.ts'
import { openStateTable } from '../adapters/aws/state-table.ts'
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import { wakeForStopped } from '../doors/task-stopped.ts'
import type { Log } from '../ports/log.ts'
import { needed, neededQueue, parseAwsSettings } from '../wire/aws-settings.ts'
import { parseStoppedTask } from '../wire/task-state-change.ts'

export type TaskDoorFrame = {
  readonly log: Log
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Answers one event about a task. Throwing means that it is to be told again. */
export type TaskDoor = (event: unknown, cancel: Cancel) => Promise<void>

/** @throws BackupError `settings-faulty` (usage) with all faults of what was given */
export function openTaskDoor({ log, environment }: TaskDoorFrame): TaskDoor {
  const settings = parseAwsSettings(environment)
  const patience = { clock: systemClock, random: systemRandom }
  const table = openStateTable({ table: needed(settings, 'table'), ...patience })
  const sender = sqsSender({ ...patience, urlOf: (kind) => neededQueue(settings, kind) })
  const deps = { jobStore: dynamoJobStore(table, patience), sender, log }
  return async (event, cancel) => {
    const stopped = parseStoppedTask(event)
    if (stopped !== null) await wakeForStopped(stopped, deps, cancel)
  }
}
