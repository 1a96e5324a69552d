// The door of schedules on AWS: the state and one queue, and nothing else. Not the engine: this function carries no stage.

import type { Cancel } from '../base/time-limit.ts'
import { type StartAnswer, startScheduled } from '../doors/schedule.ts'
import { parseScheduleEvent } from '../wire/schedule-event.ts'
import { openAwsDoor } from './aws-door.ts'
import type { LambdaFrame } from './lambda.ts'

/** Answers one event of a schedule. Throwing means that it is to be sent again. */
export type ScheduleDoor = (event: unknown, cancel: Cancel) => Promise<StartAnswer>

/** @throws BackupError `settings-faulty` (usage) with all faults of what was given */
export function openScheduleDoor({ log, metrics, environment }: LambdaFrame): ScheduleDoor {
  const { patience, jobStore, sender } = openAwsDoor(environment)
  const deps = { clock: patience.clock, jobStore, sender, log, metrics }
  return (event, cancel) => startScheduled(parseScheduleEvent(event), deps, cancel)
}
