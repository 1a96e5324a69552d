// What our trap handler posts (docs/alarms/snmp-trap.sh): the variables of vCenter's trap vpxdAlarmInfo (VMWARE-VC-EVENT-MIB,
// 1.3.6.1.4.1.6876.4.3.0.203). A trap names no alarm and no reference: the text begins with the alarm's name, the VM has a name.

import * as z from 'zod'
import { alarmStateOf, type ToldAlarm } from '../../model/alarm.ts'
import { type AlarmBody, anyText, neededText, needsJson, parseBody, textOf, timeOf } from './fields.ts'

const posted = z.object({
  source: z.literal('snmp'),
  oldStatus: anyText,
  newStatus: anyText,
  message: anyText,
  objectName: anyText,
  objectType: anyText,
  vcenterId: anyText,
  occurredAt: anyText,
})

/** vmwVpxdTargetObjType; 1, unknown, says nothing. */
const KINDS: ReadonlyMap<string | null, string> = new Map([
  ['2', 'HostSystem'],
  ['3', 'VirtualMachine'],
  ['4', 'other'],
])

/** @throws BackupError `alarm-malformed`, `alarm-content-type` */
export function parseSnmpRelay(body: AlarmBody): ToldAlarm {
  needsJson(body)
  const told = parseBody(body.text, posted)
  const message = neededText(told.message, 'message')
  const to = textOf(told.newStatus)
  return {
    source: 'snmp',
    key: null,
    vcenterId: textOf(told.vcenterId),
    alarmName: alarmNameIn(message),
    state: alarmStateOf(to),
    from: textOf(told.oldStatus),
    to,
    criticality: to,
    target: {
      moref: null,
      instanceUuid: null,
      name: neededText(told.objectName, 'objectName'),
      kind: KINDS.get(textOf(told.objectType)) ?? null,
    },
    message,
    occurredAt: timeOf(told.occurredAt),
  }
}

/** "Host cpu usage - Metric Usage = 89%": what is before the value. A text of another form is taken whole. */
function alarmNameIn(message: string): string {
  return /^(.+?) - (?:Metric|Event:?|State) /.exec(message)?.[1] ?? message
}
