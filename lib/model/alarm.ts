// An alarm as it came in by any door, in one form, and what was decided about it.

import type { AlarmId, PolicyName, RunId } from './ids.ts'
import type { AlarmAction } from './policy.ts'

/** Which door's words it was told in. */
export type AlarmSource = 'vcf-operations' | 'cloudevents' | 'vcenter-script' | 'snmp' | 'vcenter-events'

export type Alarm = {
  readonly id: AlarmId
  readonly source: AlarmSource
  /** AboutInfo.instanceUuid of the vCenter; null where the source does not say. */
  readonly vcenterId: string | null
  readonly alarmName: string
  /** 'unknown': the source used a word for it that this program does not know. */
  readonly state: 'raised' | 'cleared' | 'unknown'
  /** The states that the alarm went between, or the one it is in, in the source's words; null: not told. */
  readonly from: string | null
  readonly to: string | null
  readonly criticality: string | null
  readonly target: AlarmTarget
  /** The source's own sentence; null: none. */
  readonly message: string | null
  /** ISO 8601, UTC; null: not told. */
  readonly occurredAt: string | null
  readonly receivedAt: string
}

/** An alarm in a source's words: what a door's parser makes of a request. */
export type ToldAlarm = Omit<Alarm, 'id' | 'receivedAt'> & {
  /** What the source repeats when it tells the same alarm again; null: it has nothing of the kind, and what it says tells it. */
  readonly key: string | null
}

export type AlarmTarget = {
  readonly moref: string | null
  readonly instanceUuid: string | null
  readonly name: string | null
  /** For example "VirtualMachine"; null: not told. */
  readonly kind: string | null
}

export type AlarmDecision = {
  /** 'put-off': its backup waits for the next run of its policy. The other two are final. */
  readonly kind: 'acted' | 'recorded' | 'put-off'
  /** Why, for example "no-rule", "debounced", "budget-spent", "job-running", "storage-alarm". */
  readonly code: string
  readonly message: string
  readonly action: AlarmAction | null
  /** Whose rule it is that matched. */
  readonly policy: PolicyName | null
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
export function alarmDueAtMs(record: Pick<AlarmRecord, 'decision' | 'wakeAtMs'>): number | null {
  return isDecided(record) ? null : record.wakeAtMs
}

const RAISED = ['active', 'new', 'open', 'updated', 'raised', 'firing', 'yellow', 'red']
const CLEARED = [
  'canceled',
  'cancelled',
  'inactive',
  'cleared',
  'closed',
  'resolved',
  'normal',
  'green',
  'gray',
  'grey',
]

/** What a source's word for the state of an alarm means. A word that is not told says nothing against it. */
export function alarmStateOf(word: string | null): Alarm['state'] {
  if (word === null) return 'raised'
  const lower = word.toLowerCase()
  if (RAISED.includes(lower)) return 'raised'
  return CLEARED.includes(lower) ? 'cleared' : 'unknown'
}

/** A decision that may not change any more. */
export function isDecided({ decision }: Pick<AlarmRecord, 'decision'>): boolean {
  return decision !== null && decision.kind !== 'put-off'
}

/** So much of a source's text is kept. */
export const ALARM_TEXT_MAX = 1_000
