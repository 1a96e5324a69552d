// An alarm comes in: its record is written, then its message is sent. The same alarm told again is the same record.

import { changeRecord } from '../base/change-record.ts'
import { type Clock, isoTime } from '../base/clock.ts'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Alarm, AlarmRecord, ToldAlarm } from '../model/alarm.ts'
import { type AlarmId, alarmIdOf } from '../model/ids.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { MessageSender } from '../ports/queue.ts'

/** After this long without a decision the message counts as lost, and watch sends another. */
const ALARM_OVERDUE_MS = 60_000

export type ReceiveDeps = {
  readonly clock: Clock
  readonly jobStore: Pick<JobStore, 'alarms'>
  readonly sender: MessageSender
}

/**
 * Whoever was told and not answered tells again: then the message is sent again, unless the alarm is decided. An alarm that was heard of
 * only as being over, and is now told as raised, came out of order: it is acted on as if it had been told first.
 * @param told.key or, where the source has none, what the caller takes for one
 */
export async function receiveAlarm(
  { key, ...told }: ToldAlarm & { readonly key: string },
  deps: ReceiveDeps,
  cancel: Cancel,
): Promise<AlarmId> {
  const nowMs = deps.clock.nowMs()
  const id = alarmIdOf({ source: told.source, key })
  const wakeAtMs = nowMs + ALARM_OVERDUE_MS
  const alarm: Alarm = { ...told, id, receivedAt: isoTime(nowMs) }
  if ((await deps.jobStore.alarms.create(id, { alarm, decision: null, wakeAtMs }, cancel)) === 'exists') {
    const record = await toldAgain(alarm, { wakeAtMs }, deps, cancel)
    if (record.decision !== null) return id
  }
  await deps.sender.send({ v: 1, kind: 'alarm', alarmId: id }, { delayMs: 0 }, cancel)
  return id
}

async function toldAgain(
  alarm: Alarm,
  { wakeAtMs }: { readonly wakeAtMs: number },
  { jobStore }: ReceiveDeps,
  cancel: Cancel,
): Promise<AlarmRecord> {
  const { id } = alarm
  const change = (record: AlarmRecord): AlarmRecord => {
    const before = record.alarm
    if (before.state !== 'cleared' || alarm.state !== 'raised') return record
    return { alarm: { ...alarm, receivedAt: before.receivedAt }, decision: null, wakeAtMs }
  }
  const told = await changeRecord(jobStore.alarms, { id, change }, cancel)
  if (told !== null) return told.value
  throw new BackupError(`Cannot write alarm "${id}": its record was there and is gone`, {
    code: 'alarm-contended',
    retry: 'later',
  })
}
