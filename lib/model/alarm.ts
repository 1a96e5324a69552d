// An alarm as it came in by any door, in one form, and what was decided about it.

import type { AlarmId, RunId } from './ids.ts'
import type { AlarmAction } from './policy.ts'

/** Which door's words it was told in. */
export type AlarmSource = 'vcf-operations' | 'cloudevents' | 'vcenter-script' | 'snmp' | 'vcenter-events'

export type Alarm = {
  readonly id: AlarmId
  readonly source: AlarmSource
  /** AboutInfo.instanceUuid of the vCenter; null where the source does not say. */
  readonly vcenterId: string | null
  readonly alarmName: string
  /** The states that the alarm went between, or the one it is in, in the source's words; null: not told. */
  readonly from: string | null
  readonly to: string | null
  readonly criticality: string | null
  readonly target: {
    readonly moref: string | null
    readonly instanceUuid: string | null
    readonly name: string | null
    /** For example "VirtualMachine"; null: not told. */
    readonly kind: string | null
  }
  /** ISO 8601, UTC; null: not told. */
  readonly occurredAt: string | null
  readonly receivedAt: string
}

export type AlarmDecision = {
  readonly kind: 'acted' | 'recorded' | 'put-off'
  /** Why, for example "no-rule", "debounced", "budget-spent", "job-running", "storage-alarm". */
  readonly code: string
  readonly message: string
  readonly action: AlarmAction | null
  readonly runId: RunId | null
  /** ISO 8601, UTC. */
  readonly at: string
}

export type AlarmRecord = {
  readonly alarm: Alarm
  /** Null until it was decided. */
  readonly decision: AlarmDecision | null
  /** When its message counts as lost; null once it is decided. */
  readonly wakeAtMs: number | null
}

/** When watch must look at an alarm; null once it is decided. */
export function alarmDueAtMs({ decision, wakeAtMs }: Pick<AlarmRecord, 'decision' | 'wakeAtMs'>): number | null {
  return decision === null ? wakeAtMs : null
}
