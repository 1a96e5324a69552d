// The door of schedules on AWS: the state and one queue, and nothing else. Not the engine: this function carries no stage.

import { dynamoJobStore } from '../adapters/aws/job-store.ts'
import { sqsSender } from '../adapters/aws/queue.ts'
import { openStateTable } from '../adapters/aws/state-table.ts'
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type StartAnswer, startScheduled } from '../doors/schedule.ts'
import type { Log, Metrics } from '../ports/log.ts'
import { needed, neededQueue, parseAwsSettings } from '../wire/aws-settings.ts'
import { parseScheduleEvent } from '../wire/schedule-event.ts'

export type ScheduleDoorFrame = {
  readonly log: Log
  readonly metrics: Metrics
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Answers one event of a schedule. Throwing means that it is to be sent again. */
export type ScheduleDoor = (event: unknown, cancel: Cancel) => Promise<StartAnswer>

/** @throws BackupError `settings-faulty` (usage) with all faults of what was given */
export function openScheduleDoor({ log, metrics, environment }: ScheduleDoorFrame): ScheduleDoor {
  const settings = parseAwsSettings(environment)
  const patience = { clock: systemClock, random: systemRandom }
  const table = openStateTable({ table: needed(settings, 'table'), ...patience })
  const sender = sqsSender({ ...patience, urlOf: (kind) => neededQueue(settings, kind) })
  const deps = { clock: systemClock, jobStore: dynamoJobStore(table, patience), sender, log, metrics }
  return (event, cancel) => startScheduled(parseScheduleEvent(event), deps, cancel)
}
