// An operation: a restore or a check that a task carries out, from its request to its end.

import type { OperationId, PointId, VmId } from './ids.ts'
import type { Outcome } from './outcome.ts'

/** Where disks of a restore point go. */
export type OperationTarget =
  /** Raw images as objects below a prefix of a bucket. */
  | { readonly kind: 'bucket'; readonly bucket: string; readonly prefix: string }
  /** Raw images in a folder of the machine that the task runs on. */
  | { readonly kind: 'folder'; readonly folder: string }

export type OperationRequest =
  | {
      readonly kind: 'restore'
      readonly vmId: VmId
      readonly sequence: number
      readonly pointId: PointId
      /** Device keys; null: every disk of the point. */
      readonly disks: readonly number[] | null
      readonly target: OperationTarget
    }
  | {
      readonly kind: 'verify'
      /** Null: every point of every VM. */
      readonly vmId: VmId | null
      readonly sequence: number | null
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
  readonly state: 'requested' | 'started' | 'running' | 'done'
  /** From 1; a new one for every task that is started for it. */
  readonly attempt: number
  readonly round: number
  /** When its message counts as lost; null once it is done. */
  readonly wakeAtMs: number | null
  readonly clientToken: string | null
  readonly placement: number
  readonly taskId: string | null
  /** The task that carries it out holds it so long and renews that while it works. */
  readonly holder: string | null
  readonly heldUntilMs: number | null
  readonly progress: readonly OperationProgress[]
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
