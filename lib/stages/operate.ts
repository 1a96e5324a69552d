// operate: starts the task of a restore or a check, follows it, and starts another when one dies. The task itself writes how it ended.

import { isoTime } from '../base/clock.ts'
import { BackupError, messageOf } from '../base/errors.ts'
import { type Cancel, isAbort } from '../base/time-limit.ts'
import { cancelledOperation } from '../model/cancel.ts'
import type { OperateMessage } from '../model/message.ts'
import {
  endOperation,
  nameOfOperation,
  nextAttempt,
  OPERATION_ATTEMPTS_MAX,
  type Operation,
} from '../model/operation.ts'
import type { Outcome } from '../model/outcome.ts'
import type { TaskState } from '../ports/tasks.ts'
import type { StageDeps } from './deps.ts'
import { changeOperation, operateAgainIfOverdue, sendOperate } from './operation-record.ts'
import { firstBackupError, outcomeOfError, START_AGAIN } from './outcome-of-error.ts'
import { startOrFull, taskTokenOf } from './task-start.ts'
import { tellOperation } from './tell.ts'

/** What becomes of the record; it is sent on after delayMs unless it is done. */
type Next = {
  readonly change: (operation: Operation) => Operation
  readonly delayMs: number
  readonly waitsFor: string
}
type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/** Two copies at once do the same: starts carry the same token, and one of them wins the write that sends the record on. */
export async function operate(message: OperateMessage, deps: StageDeps, cancel: Cancel): Promise<void> {
  const { operationId: id, round } = message
  const found = await deps.jobStore.operations.get(id, cancel)
  if (found === null)
    throw new BackupError(`Cannot carry out operation "${id}": there is no such operation`, {
      code: 'operation-unknown',
    })
  const operation = found.value
  // Its task may have written the end.
  if (operation.state === 'done') return tellOperation(operation, deps, cancel)
  if (operation.round !== round) {
    await operateAgainIfOverdue(id, deps, cancel)
    return
  }
  const call = { deps: { ...deps, log: deps.log.with({ operation: id, attempt: operation.attempt }) }, cancel }
  const { change, delayMs, waitsFor } = await look(operation, call).catch((error: unknown) =>
    afterError(operation, error, call),
  )
  const moved = await changeOperation(
    id,
    (now) => (now.round === round && now.state !== 'done' ? movedOn(change(now), { delayMs, waitsFor, deps }) : now),
    { deps, cancel },
  )
  if (moved === null) return
  if (moved.state !== operation.state || moved.attempt !== operation.attempt) await tellOperation(moved, deps, cancel)
  if (moved.state === 'done')
    return deps.log.info('operation.done', { operation: id, outcome: moved.outcome?.code ?? '' })
  await sendOperate(moved, deps, { delayMs, ...cancel })
}

function movedOn(
  next: Operation,
  { delayMs, waitsFor, deps }: Omit<Next, 'change'> & { readonly deps: StageDeps },
): Operation {
  const round = next.round + 1
  if (next.state === 'done') return { ...next, round }
  return { ...next, round, waitsFor, wakeAtMs: deps.clock.nowMs() + delayMs + deps.limits.overdueMs }
}

async function look(operation: Operation, call: Call): Promise<Next> {
  const { clock, limits } = call.deps
  const isOver = clock.nowMs() - Date.parse(operation.requestedAt) > limits.transferMs
  if (operation.cancelRequestedAt !== null || isOver) return endEarly(operation, call)
  if (operation.taskId === null) return startTask(operation, call)
  if (isHeld(operation, call.deps)) return poll(operation, call.deps, 'its task, which is at work')
  const state = await call.deps.tasks.describe(operation.taskId, call.cancel)
  const isYoung = (ms: number): boolean => clock.nowMs() - operation.attemptSinceMs <= ms
  const hasBegun = operation.heldUntilMs !== null
  if (state.kind === 'running' && !hasBegun && isYoung(limits.moverStartMs))
    return poll(operation, call.deps, 'its task to begin')
  // A task that was just started may not be listed yet.
  if (state.kind === 'unknown' && isYoung(limits.moverMarginMs))
    return poll(operation, call.deps, 'its task to be known')
  if (state.kind === 'running') await call.deps.tasks.stop(operation.taskId, call.cancel)
  return afterDeath(operation, state, call.deps)
}

/** The task renews its hold while it works; one that lapsed, or was given back with a failure, is over. */
function isHeld({ heldUntilMs, failure, state }: Operation, { clock, limits }: StageDeps): boolean {
  if (heldUntilMs === null) return false
  const marginMs = state === 'running' && failure === null ? limits.moverMarginMs : 0
  return clock.nowMs() <= heldUntilMs + marginMs
}

/** The token stands in the record before the start: whoever comes again starts the same task, not another. */
async function startTask(operation: Operation, { deps, cancel }: Call): Promise<Next> {
  const { id, attempt, placement } = operation
  const clientToken = operation.clientToken ?? taskTokenOf({ id, attempt, placement, after: null })
  const isSame = (now: Operation) => now.attempt === attempt && now.placement === placement && now.state !== 'done'
  let isStill = false
  const note = (now: Operation): Operation => {
    isStill = isSame(now)
    return isStill && now.state === 'requested' ? { ...now, state: 'started', clientToken } : now
  }
  await changeOperation(id, note, { deps, cancel })
  if (!isStill) return { change: (now) => now, delayMs: deps.limits.pollMs, waitsFor: 'its task' }
  const work = { kind: 'operate', operationId: id, attempt } as const
  const answer = await startOrFull({ work, clientToken, placement }, deps, cancel)
  if ('full' in answer) return inAnotherPlace(operation, { after: clientToken, deps })
  deps.log.info('operation.started', { taskId: answer.taskId, placement })
  return {
    change: (now) => (isSame(now) ? { ...now, taskId: answer.taskId, failingSinceMs: null } : now),
    delayMs: deps.limits.pollMs,
    waitsFor: 'its task to begin',
  }
}

/** The places are tried in turn; when all were full it waits before the next turn, for a while. */
function inAnotherPlace(
  operation: Operation,
  { after, deps }: { readonly after: string; readonly deps: StageDeps },
): Next {
  const { id, attempt, attemptSinceMs } = operation
  const nowMs = deps.clock.nowMs()
  if (nowMs - attemptSinceMs > deps.limits.busyMs) {
    const message = `${nameOfOperation(operation)} found no place for its task`
    return ending(
      { kind: 'failed', code: 'no-capacity', message, hint: 'Look at the limits of the cluster, then ask again' },
      deps,
    )
  }
  const placement = (operation.placement + 1) % deps.tasks.placements
  const clientToken = taskTokenOf({ id, attempt, placement, after })
  return {
    change: (now) =>
      now.attempt === attempt && now.taskId === null && now.state === 'started'
        ? { ...now, state: 'requested', clientToken, placement }
        : now,
    delayMs: placement === 0 ? deps.limits.pollMs : 0,
    waitsFor: 'a place for its task',
  }
}

/** Nobody is at work with it: what the task said last, or that it said nothing, decides nothing yet but another attempt. */
function afterDeath(operation: Operation, state: TaskState, deps: StageDeps): Next {
  const { attempt } = operation
  const silent: Outcome = {
    kind: 'failed',
    code: 'task-died',
    message: `${nameOfOperation(operation)} was interrupted: its task ended without a result (${describeEnd(state)})`,
    hint: START_AGAIN,
  }
  const failure = operation.heldUntilMs === null ? silent : (operation.failure ?? silent)
  const nowMs = deps.clock.nowMs()
  return {
    // The task may have ended well between the two looks: then the record is done and stays so.
    change: (now) => {
      if (now.attempt !== attempt || isHeld(now, deps)) return now
      if (attempt < OPERATION_ATTEMPTS_MAX) return nextAttempt(now, { failure, nowMs })
      return endOperation(now, { outcome: failure, result: now.result, at: isoTime(nowMs) })
    },
    delayMs: deps.limits.againFirstMs,
    waitsFor: `another try: ${failure.message}`,
  }
}

function describeEnd(state: TaskState): string {
  if (state.kind === 'stopped') return state.reason
  return state.kind === 'running' ? 'it ran but gave no word, and was stopped' : 'nobody knows its task'
}

/** Cancelled, or over its time: the task is stopped, and the end is written when it can write nothing more. */
async function endEarly(operation: Operation, { deps, cancel }: Call): Promise<Next> {
  const { taskId } = operation
  const state = taskId === null ? null : await deps.tasks.describe(taskId, cancel)
  if (taskId !== null && state?.kind === 'running') await deps.tasks.stop(taskId, cancel)
  // A task of which nobody knows whether it was started finds the record done when it begins.
  if (state?.kind !== 'stopped' && isHeld(operation, deps)) return poll(operation, deps, 'its task to stop')
  return ending(operation.cancelRequestedAt === null ? tookTooLong(operation) : cancelledOperation(operation), deps)
}

function tookTooLong(operation: Operation): Outcome {
  const message = `${nameOfOperation(operation)} took too long and was stopped`
  return { kind: 'failed', code: 'waited-too-long', message, hint: START_AGAIN }
}

function ending(outcome: Outcome, deps: StageDeps): Next {
  const at = isoTime(deps.clock.nowMs())
  return { change: (now) => endOperation(now, { outcome, result: now.result, at }), delayMs: 0, waitsFor: '' }
}

function poll({ round }: Operation, deps: StageDeps, waitsFor: string): Next {
  const delayMs = deps.limits.pollMs * 2 ** Math.min(round, 3)
  return { change: (now) => ({ ...now, failingSinceMs: null }), delayMs, waitsFor }
}

/** The world's errors are waited out for the time of a stage. Broken code is thrown: its messages die, and abandon ends it. */
function afterError(operation: Operation, error: unknown, { deps, cancel }: Call): Next {
  const isWorld = error instanceof BackupError || error instanceof AggregateError || isAbort(error)
  if (cancel.signal.aborted || !isWorld) throw error
  deps.log.error('operation.failed', error, { round: operation.round })
  const nowMs = deps.clock.nowMs()
  const failingSinceMs = operation.failingSinceMs ?? nowMs
  const cause = firstBackupError(error) ?? error
  const mayPass = !(cause instanceof BackupError) || cause.retry === 'later'
  if (!mayPass || nowMs - failingSinceMs > deps.limits.stageMs) return ending(outcomeOfError(cause), deps)
  const delayMs = Math.min(deps.limits.againMostMs, deps.limits.againFirstMs * 2 ** Math.min(operation.round, 10))
  return { change: (now) => ({ ...now, failingSinceMs }), delayMs, waitsFor: `another try: ${messageOf(cause)}` }
}
