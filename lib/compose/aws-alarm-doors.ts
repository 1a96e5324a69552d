// The alarm doors of a stack: records in its table, messages in its queue, keys in Secrets Manager, a secret a door. Not the engine: this
// function carries no stage, and no way into vCenter or a guest.

import { awsSecrets } from '../adapters/aws/secrets.ts'
import { type AlarmDoorsAnswer, alarmDoors } from './alarm-doors.ts'
import { openAwsDoor } from './aws-door.ts'
import type { LambdaFrame } from './lambda.ts'

/** @throws BackupError `settings-faulty` (kind usage): doors without a table must not open */
export function openAwsAlarmDoors({ log, metrics, environment }: LambdaFrame): AlarmDoorsAnswer {
  const { settings, patience, jobStore, sender } = openAwsDoor(environment)
  const secrets = awsSecrets({ prefix: '' }, patience)
  const secretName = (dialect: string) => `${settings.secretPrefix}door/${dialect}`
  return alarmDoors({ log, metrics, jobStore, sender, secrets, secretName, clock: patience.clock })
}
