// Every dialect that alarms come in by HTTP, by the name of its door: /alarms/<name>.

import type { ToldAlarm } from '../../model/alarm.ts'
import { parseCloudEvent } from './cloudevents.ts'
import type { AlarmBody } from './fields.ts'
import { parseSnmpRelay } from './snmp.ts'
import { parseVcenterScript } from './vcenter-script.ts'
import { parseVcfAlert } from './vcf.ts'

/** Each throws BackupError `alarm-malformed`, `alarm-content-type`. */
export const alarmDialects: Readonly<Record<string, (body: AlarmBody) => ToldAlarm>> = {
  'vcf-rest': parseVcfAlert,
  'vcf-webhook': parseVcfAlert,
  cloudevents: parseCloudEvent,
  'vcenter-script': parseVcenterScript,
  snmp: parseSnmpRelay,
}
