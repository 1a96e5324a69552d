// The door of stopped tasks on AWS: the state and three queues, and nothing else. Not the engine: this function carries no stage.

import type { Cancel } from '../base/time-limit.ts'
import { wakeForStopped } from '../doors/task-stopped.ts'
import type { Log } from '../ports/log.ts'
import { parseStoppedTask } from '../wire/task-state-change.ts'
import type { Environment } from './aws.ts'
import { openAwsDoor } from './aws-door.ts'

export type TaskDoorFrame = {
  readonly log: Log
  readonly environment: Environment
}

/** Answers one event about a task. Throwing means that it is to be told again. */
export type TaskDoor = (event: unknown, cancel: Cancel) => Promise<void>

/** @throws BackupError `settings-faulty` (usage) with all faults of what was given */
export function openTaskDoor({ log, environment }: TaskDoorFrame): TaskDoor {
  const { jobStore, sender } = openAwsDoor(environment)
  const deps = { jobStore, sender, log }
  return async (event, cancel) => {
    const stopped = parseStoppedTask(event)
    if (stopped !== null) await wakeForStopped(stopped, deps, cancel)
  }
}
