// The record of an operation as stages change it, and the message that wakes its stage.

import { changeRecord } from '../base/change-record.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { OperationId } from '../model/ids.ts'
import type { Operation } from '../model/operation.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { StageDeps } from './deps.ts'

const DELAY_MS_MAX = 900_000

/** How many one watch sends again. */
const OPERATIONS_MAX = 100

/** @returns the record as written, or null when `change` left it as it was or there is none */
export async function changeOperation(
  id: OperationId,
  change: (operation: Operation) => Operation,
  { deps, cancel }: { readonly deps: { readonly jobStore: Pick<JobStore, 'operations'> }; readonly cancel: Cancel },
): Promise<Operation | null> {
  const found = await changeRecord(deps.jobStore.operations, { id, change }, cancel)
  return found?.changed === true ? found.value : null
}

export async function sendOperate(
  { id, round }: Operation,
  { sender }: Pick<StageDeps, 'sender'>,
  options: Cancel & { readonly delayMs: number },
): Promise<void> {
  const delayMs = Math.min(options.delayMs, DELAY_MS_MAX)
  await sender.send({ v: 1, kind: 'operate', operationId: id, round }, { delayMs }, options)
}

/** Sends once more what is overdue; the write keeps everybody else from doing the same. @returns whether it was sent */
export async function operateAgainIfOverdue(id: OperationId, deps: StageDeps, cancel: Cancel): Promise<boolean> {
  const nowMs = deps.clock.nowMs()
  const isDue = ({ state, wakeAtMs }: Operation) => state !== 'done' && wakeAtMs !== null && wakeAtMs <= nowMs
  const wakeAtMs = nowMs + deps.limits.overdueMs
  const value = await changeOperation(id, (now) => (isDue(now) ? { ...now, wakeAtMs } : now), { deps, cancel })
  if (value === null) return false
  deps.log.warn('operation.overdue', { operation: id, state: value.state })
  await sendOperate(value, deps, { delayMs: 0, ...cancel })
  return true
}

/** For watch. @returns how many were sent */
export async function resendOperations(deps: StageDeps, cancel: Cancel): Promise<number> {
  const query = { beforeMs: deps.clock.nowMs(), limit: OPERATIONS_MAX }
  let sent = 0
  for (const { value } of await deps.jobStore.dueOperations(query, cancel))
    if (await operateAgainIfOverdue(value.id, deps, cancel)) sent++
  return sent
}
