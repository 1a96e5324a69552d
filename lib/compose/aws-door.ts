// What each door of a stack acts through: its state, and the queues that it may wake. Not the engine: no stage comes with it.

import { dynamoJobStore } from '../adapters/aws/job-store.ts'
import { sqsSender } from '../adapters/aws/queue.ts'
import { openStateTable } from '../adapters/aws/state-table.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { type Random, systemRandom } from '../base/random.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { MessageSender } from '../ports/queue.ts'
import { type AwsSettings, needed, neededQueue, parseAwsSettings } from '../wire/aws-settings.ts'
import type { Environment } from './aws.ts'

export type AwsDoor = {
  readonly settings: AwsSettings
  readonly patience: { readonly clock: Clock; readonly random: Random }
  readonly jobStore: JobStore
  readonly sender: MessageSender
}

/** Nothing is contacted. @throws BackupError `settings-faulty` (kind usage): a door without a table must not open */
export function openAwsDoor(environment: Environment): AwsDoor {
  const settings = parseAwsSettings(environment)
  const patience = { clock: systemClock, random: systemRandom }
  const table = openStateTable({ table: needed(settings, 'table'), ...patience })
  const sender = sqsSender({ ...patience, urlOf: (kind) => neededQueue(settings, kind) })
  return { settings, patience, jobStore: dynamoJobStore(table, patience), sender }
}
