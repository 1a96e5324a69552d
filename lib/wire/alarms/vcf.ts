// Alerts of Aria/VCF Operations: the fixed body of its REST notification plug-in, and our payload template for its webhooks. Its ids
// of objects are its own, not references of vCenter: a VM is known by name and kind.

import * as z from 'zod'
import { alarmStateOf, type ToldAlarm } from '../../model/alarm.ts'
import { type AlarmBody, anyText, neededText, needsJson, parseBody, textOf, timeOf } from './fields.ts'

/** Unknown keys are newer versions' and are passed over. */
const alert = z.object({
  alertId: anyText,
  alertName: anyText,
  criticality: anyText,
  status: anyText,
  startDate: anyText,
  updateDate: anyText,
  resourceName: anyText,
  resourceKind: anyText,
  vcenterId: anyText,
  info: anyText,
  symptoms: anyText,
})

/** @throws BackupError `alarm-malformed`, `alarm-content-type` */
export function parseVcfAlert(body: AlarmBody): ToldAlarm {
  needsJson(body)
  const told = parseBody(body.text, alert)
  const status = textOf(told.status)
  return {
    source: 'vcf-operations',
    key: textOf(told.alertId),
    vcenterId: textOf(told.vcenterId),
    alarmName: neededText(told.alertName, 'alertName'),
    state: alarmStateOf(status),
    from: null,
    to: status,
    criticality: textOf(told.criticality),
    target: {
      moref: null,
      instanceUuid: null,
      name: textOf(told.resourceName),
      kind: textOf(told.resourceKind),
    },
    message: textOf(told.info) ?? firstSymptom(told.symptoms),
    occurredAt: timeOf(told.startDate) ?? timeOf(told.updateDate),
  }
}

/** From VCF Operations 9.1 on ${SYMPTOMS} is an object; before, it is text. */
const symptoms = z.object({ symptoms: z.array(z.object({ name: anyText, messageInfo: anyText })).min(1) })

function firstSymptom(value: unknown): string | null {
  const parsed = symptoms.safeParse(value)
  if (!parsed.success) return textOf(value)
  const [first] = parsed.data.symptoms
  return textOf(first?.messageInfo) ?? textOf(first?.name)
}
