// An operation: a restore or a check that a task carries out, from its request to its end.

import type { OperationId, PointId, VmId } from './ids.ts'
import type { Outcome } from './outcome.ts'

/** Where disks of a restore point go. */
export type OperationTarget =
  /** Raw images as objects below a prefix of a bucket. */
  | { readonly kind: 'bucket'; readonly bucket: string; readonly prefix: string }
  /** Raw images in a folder of the machine that the task runs on. */
  | { readonly kind: 'folder'; readonly folder: string }

/** `point` is in an operator's words: an id's beginning, NAME@NUMBER or NAME@latest. The task, which has the key, looks it up. */
export type OperationRequest =
  | {
      readonly kind: 'restore'
      readonly point: string
      /** Device keys; null: every disk of the point. */
      readonly disks: readonly number[] | null
      readonly target: OperationTarget
    }
  | {
      readonly kind: 'verify'
      /** Null: every point of every VM. */
      readonly point: string | null
      /** Whether every chunk is read, or only what names and lists them. */
      readonly deep: boolean
    }

export type OperationProgress = {
  /** For example "Hard disk 1". */
  readonly label: string
  readonly totalBytes: number
  readonly doneBytes: number
}

export type Operation = {
  readonly id: OperationId
  readonly request: OperationRequest
  /** ISO 8601, UTC. */
  readonly requestedAt: string
  readonly requestedBy: string
  /** 'requested': this attempt has no task. 'started': it may have one. 'running': a task has taken it. */
  readonly state: 'requested' | 'started' | 'running' | 'done'
  /** From 1; a new one for every task that is started for it. */
  readonly attempt: number
  readonly round: number
  /** When its message counts as lost; null once it is done. */
  readonly wakeAtMs: number | null
  readonly clientToken: string | null
  readonly placement: number
  readonly taskId: string | null
  /** Since when this attempt wants a task; since when what the stage does for it fails. */
  readonly attemptSinceMs: number
  readonly failingSinceMs: number | null
  /** What it waits for, in words, for people. */
  readonly waitsFor: string | null
  readonly cancelRequestedAt: string | null
  /** The task that carries it out holds it so long and renews that while it works. */
  readonly holder: string | null
  readonly heldUntilMs: number | null
  /** Which point was meant, once a task has looked: every later attempt uses the same. */
  readonly point: { readonly vmId: VmId; readonly sequence: number; readonly pointId: PointId } | null
  readonly progress: readonly OperationProgress[]
  /** Why this attempt, or the one before it, ended without a result; another one may mend it. */
  readonly failure: Outcome | null
  readonly outcome: Outcome | null
  /** Files or objects that were written, or findings, a line each; bounded by RESULT_LINES_MAX. */
  readonly result: readonly string[]
  readonly doneAt: string | null
}

export const RESULT_LINES_MAX = 200

/** When watch must look at an operation; null once it is done. */
export function operationDueAtMs({ state, wakeAtMs }: Pick<Operation, 'state' | 'wakeAtMs'>): number | null {
  return state === 'done' ? null : wakeAtMs
}

/** How often a task is started for one operation. */
export const OPERATION_ATTEMPTS_MAX = 3

export type OperationStart = Pick<Operation, 'id' | 'request' | 'requestedAt' | 'requestedBy' | 'wakeAtMs'>

/** As a door writes it: nothing has been done. */
export function newOperation(start: OperationStart): Operation {
  return {
    ...start,
    state: 'requested',
    attempt: 1,
    round: 0,
    clientToken: null,
    placement: 0,
    taskId: null,
    attemptSinceMs: Date.parse(start.requestedAt),
    failingSinceMs: null,
    waitsFor: null,
    cancelRequestedAt: null,
    holder: null,
    heldUntilMs: null,
    point: null,
    progress: [],
    failure: null,
    outcome: null,
    result: [],
    doneAt: null,
  }
}

/** The same request again is a new task; what a lost one may still do, its lost hold forbids. */
export function nextAttempt(operation: Operation, { failure, nowMs }: { failure: Outcome; nowMs: number }): Operation {
  return {
    ...operation,
    state: 'requested',
    attempt: operation.attempt + 1,
    clientToken: null,
    taskId: null,
    attemptSinceMs: nowMs,
    holder: null,
    heldUntilMs: null,
    progress: [],
    failure,
  }
}

export type OperationEnd = {
  readonly outcome: Outcome
  readonly result: readonly string[]
  /** ISO 8601, UTC. */
  readonly at: string
}

/** @returns the same object when it is done already */
export function endOperation(operation: Operation, { outcome, result, at }: OperationEnd): Operation {
  if (operation.state === 'done') return operation
  const more = result.length - RESULT_LINES_MAX
  const lines = more > 0 ? [...result.slice(0, RESULT_LINES_MAX - 1), `and ${more + 1} more`] : result
  return { ...operation, state: 'done', wakeAtMs: null, waitsFor: null, outcome, result: lines, doneAt: at }
}

/** What it is called in sentences. */
export function nameOfOperation({ request }: Pick<Operation, 'request'>): string {
  if (request.kind === 'restore') return `The restore of "${request.point}"`
  return request.point === null ? 'The check of all restore points' : `The check of "${request.point}"`
}
