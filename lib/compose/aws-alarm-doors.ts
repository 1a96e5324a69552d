// The alarm doors of a stack: records in its table, messages in its queue, keys in Secrets Manager, a secret a door. Not the engine: this
// function carries no stage, and no way into vCenter or a guest.

import { dynamoJobStore } from '../adapters/aws/job-store.ts'
import { sqsSender } from '../adapters/aws/queue.ts'
import { awsSecrets } from '../adapters/aws/secrets.ts'
import { openStateTable } from '../adapters/aws/state-table.ts'
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import { needed, neededQueue, parseAwsSettings } from '../wire/aws-settings.ts'
import { type AlarmDoorsAnswer, alarmDoors } from './alarm-doors.ts'
import type { LambdaFrame } from './lambda.ts'

/** @throws BackupError `settings-faulty` (kind usage): doors without a table must not open */
export function openAwsAlarmDoors({ log, metrics, environment }: LambdaFrame): AlarmDoorsAnswer {
  const settings = parseAwsSettings(environment)
  const patience = { clock: systemClock, random: systemRandom }
  const table = openStateTable({ table: needed(settings, 'table'), ...patience })
  const jobStore = dynamoJobStore(table, patience)
  const sender = sqsSender({ ...patience, urlOf: (kind) => neededQueue(settings, kind) })
  const secrets = awsSecrets({ prefix: '' }, patience)
  const secretName = (dialect: string) => `${settings.secretPrefix}door/${dialect}`
  return alarmDoors({ log, metrics, jobStore, sender, secrets, secretName, clock: systemClock })
}
