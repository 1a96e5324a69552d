// The door of restores and checks: writes the operation, then wakes its stage. The same key gives the same operation.

import { type Clock, isoTime } from '../base/clock.ts'
import { assert } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { operationIdOf } from '../model/ids.ts'
import { newOperation, type Operation, type OperationRequest } from '../model/operation.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { MessageSender } from '../ports/queue.ts'

/** After this long without its stage the message counts as lost, and watch sends another. */
const OPERATE_OVERDUE_MS = 60_000

export type AskedOperation = {
  readonly request: OperationRequest
  readonly requestedBy: string
  /** Idempotency key, unique among all callers. */
  readonly key: string
}

/** @returns the operation as it is now: of an earlier request when its key was the same, whatever that asked for */
export async function requestOperation(
  { request, requestedBy, key }: AskedOperation,
  deps: { readonly clock: Clock; readonly jobStore: Pick<JobStore, 'operations'>; readonly sender: MessageSender },
  cancel: Cancel,
): Promise<Operation> {
  const nowMs = deps.clock.nowMs()
  const id = operationIdOf({ kind: request.kind, key })
  const start = { id, request, requestedBy, requestedAt: isoTime(nowMs), wakeAtMs: nowMs + OPERATE_OVERDUE_MS }
  await deps.jobStore.operations.create(id, newOperation(start), cancel)
  const found = await deps.jobStore.operations.get(id, cancel)
  assert(found !== null, 'a record that was created, or that exists, can be read')
  const { state, round } = found.value
  if (state === 'requested' && round === 0)
    await deps.sender.send({ v: 1, kind: 'operate', operationId: id, round: 0 }, { delayMs: 0 }, cancel)
  return found.value
}
