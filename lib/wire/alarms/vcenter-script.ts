// What our alarm script on vCenter posts (docs/alarms/vcenter-alarm.sh): the variables that vCenter gives to scripts of alarms.

import * as z from 'zod'
import { alarmStateOf, type ToldAlarm } from '../../model/alarm.ts'
import {
  type AlarmBody,
  anyText,
  kindOfMoref,
  malformedAlarm,
  neededText,
  needsJson,
  parseBody,
  textOf,
  timeOf,
} from './fields.ts'

const posted = z.object({
  source: z.literal('vcenter-script'),
  alarmName: anyText,
  targetId: anyText,
  targetName: anyText,
  from: anyText,
  to: anyText,
  summary: anyText,
  vcenterId: anyText,
  occurredAt: anyText,
})

/** @throws BackupError `alarm-malformed`, `alarm-content-type` */
export function parseVcenterScript(body: AlarmBody): ToldAlarm {
  needsJson(body)
  const told = parseBody(body.text, posted)
  const moref = textOf(told.targetId)
  const name = textOf(told.targetName)
  if (moref === null && name === null) throw malformedAlarm('neither "targetId" nor "targetName" is there')
  const to = textOf(told.to)
  return {
    source: 'vcenter-script',
    key: null,
    vcenterId: textOf(told.vcenterId),
    alarmName: neededText(told.alarmName, 'alarmName'),
    state: alarmStateOf(to),
    from: textOf(told.from),
    to,
    criticality: to,
    target: { moref, instanceUuid: null, name, kind: kindOfMoref(moref) },
    message: textOf(told.summary),
    occurredAt: timeOf(told.occurredAt),
  }
}
