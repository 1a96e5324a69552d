// The alarm doors of a stack: records in its table, messages in its queue, keys in Secrets Manager, a secret a door.

import { systemClock } from '../base/clock.ts'
import { type AlarmDoorsAnswer, alarmDoors } from './alarm-doors.ts'
import { openAwsPorts } from './aws.ts'
import type { LambdaFrame } from './lambda.ts'

/** @throws BackupError `settings-faulty` (kind usage): doors without a table must not open */
export function openAwsAlarmDoors({ log, metrics, environment }: LambdaFrame): AlarmDoorsAnswer {
  const { settings, jobStore, sender, secrets } = openAwsPorts(environment)
  const secretName = (dialect: string) => `${settings.secretPrefix}door/${dialect}`
  return alarmDoors({ log, metrics, jobStore, sender, secrets, secretName, clock: systemClock })
}
