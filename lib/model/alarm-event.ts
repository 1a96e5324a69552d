// A change of an alarm as vCenter's event log has it. Pure.

import type { AlarmTarget, ToldAlarm } from './alarm.ts'
import { alarmStateOf } from './alarm.ts'

export type AlarmEvent = {
  /** Event.key: unique in one vCenter. */
  readonly key: number
  /** By vCenter's clock, ISO 8601 UTC, milliseconds. */
  readonly createdAt: string
  readonly alarmName: string
  readonly from: string
  readonly to: string
  /** What changed, never where the alarm is defined. */
  readonly entity: Pick<AlarmTarget, 'moref' | 'name' | 'kind'>
  readonly message: string | null
}

export function toldByEvent(event: AlarmEvent, vcenterId: string | null): ToldAlarm & { readonly key: string } {
  const { key, createdAt, alarmName, from, to, entity, message } = event
  return {
    source: 'vcenter-events',
    key: JSON.stringify([vcenterId, key]),
    vcenterId,
    alarmName,
    state: alarmStateOf(to),
    from,
    to,
    criticality: to,
    target: { ...entity, instanceUuid: null },
    message,
    occurredAt: createdAt,
  }
}
