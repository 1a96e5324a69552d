// Alarm records as the stages write them: a decision is final, told once it is written, and told again by whoever finds it.

import { changeRecord } from '../base/change-record.ts'
import { isoTime } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type AlarmDecision, type AlarmRecord, isDecided } from '../model/alarm.ts'
import type { AlarmId } from '../model/ids.ts'
import type { StageDeps } from './deps.ts'

/** SQS's limit; a longer wait is sent again by watch. */
const DELAY_MS_MAX = 900_000

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

export type NewDecision = Omit<AlarmDecision, 'at'> & {
  /** When its message counts as lost; for 'put-off' alone. */
  readonly wakeAtMs?: number
}

/**
 * Writes a decision unless another one is final already; one that acts is written over one that does not.
 * @returns the record as it now is; null when there is none
 */
export async function decideAlarm(
  id: AlarmId,
  decide: (record: AlarmRecord) => NewDecision,
  call: Call,
): Promise<AlarmRecord | null> {
  const at = isoTime(call.deps.clock.nowMs())
  const record = await changeAlarm(
    id,
    (found) => {
      const { wakeAtMs = null, ...said } = decide(found)
      const isFinal = isDecided(found) && !(said.kind === 'acted' && found.decision?.kind === 'recorded')
      return isFinal ? found : { ...found, decision: { ...said, at }, wakeAtMs }
    },
    call,
  )
  if (record !== null) await tellDecision(record, call)
  return record
}

/** @returns the record as it now is; null when there is none. @throws BackupError `record-contended` */
export async function changeAlarm(
  id: AlarmId,
  change: (record: AlarmRecord) => AlarmRecord,
  { deps, cancel }: Call,
): Promise<AlarmRecord | null> {
  return (await changeRecord(deps.jobStore.alarms, { id, change }, cancel))?.value ?? null
}

/** An event may be told twice, and has one id. */
export async function tellDecision({ alarm, decision }: AlarmRecord, { deps, cancel }: Call): Promise<void> {
  if (decision === null || decision.kind === 'put-off') return
  const { kind, code, message, action, runId, at } = decision
  const { id, alarmName, target } = alarm
  const facts = { alarm: alarmName, source: alarm.source, target: target.name ?? target.moref ?? '' }
  const data = { ...facts, decision: kind, code, message, action, run: runId }
  const log = deps.log.with({ alarmId: id })
  if (code === 'budget-spent' || code === 'abandoned') log.warn('alarm.decided', data)
  else log.info('alarm.decided', data)
  deps.metrics.count('alarm.decided', 1, { decision: kind, code })
  const event = { id: `${id}.${kind}`, type: 'coldframe.alarm.decided', subject: id, at, data }
  await deps.events.publish(event, cancel)
}

/** Wakes the alarm's stage after a while. */
export async function sendAlarm(id: AlarmId, deps: StageDeps, options: Cancel & { readonly delayMs: number }) {
  const delayMs = Math.min(options.delayMs, DELAY_MS_MAX)
  await deps.sender.send({ v: 1, kind: 'alarm', alarmId: id }, { delayMs }, options)
}

/** Notes when the message of an alarm that is not decided counts as lost. */
export async function wakeAlarmAt(id: AlarmId, wakeAtMs: number, call: Call): Promise<void> {
  await changeAlarm(id, (record) => (isDecided(record) ? record : { ...record, wakeAtMs }), call)
}
