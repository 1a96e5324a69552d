// Lambda entry point of the alarm doors: requests of the HTTP API.

import { openAwsAlarmDoors } from '../../lib/compose/aws-alarm-doors.ts'
import { alarmHandler } from '../_alarm-handler.ts'

export const handler = alarmHandler(openAwsAlarmDoors)
