// Long-running tasks: a container on Fargate, a child process on one machine. No code.

import type { Cancel } from '../base/time-limit.ts'
import type { JobId, OperationId } from '../model/ids.ts'

/** What a task is to do. */
export type TaskWork =
  | { readonly kind: 'move'; readonly jobId: JobId; readonly attempt: number }
  /** A restore or a check; its record says which. */
  | { readonly kind: 'operate'; readonly operationId: OperationId; readonly attempt: number }

export type TaskRequest = {
  readonly work: TaskWork
  /** The same token starts the same task once; another placement needs another token. At most 64 characters. */
  readonly clientToken: string
  /** Which of the places that tasks may run in, from 0 to placements - 1. */
  readonly placement: number
}

export type TaskState =
  | { readonly kind: 'running' }
  | { readonly kind: 'stopped'; readonly exitCode: number | null; readonly reason: string }
  /** Nobody knows of such a task (any more). */
  | { readonly kind: 'unknown' }

export interface Tasks {
  /** How many places there are to try, at least 1: a subnet, a size or a kind of capacity each. */
  readonly placements: number
  /**
   * @throws BackupError `no-capacity` (retry later) when this placement has none now and surely nothing was started; any other error
   * leaves open whether it was
   */
  start(request: TaskRequest, cancel: Cancel): Promise<{ readonly taskId: string }>
  describe(taskId: string, cancel: Cancel): Promise<TaskState>
  /** Asks it to stop; it may take a while. */
  stop(taskId: string, cancel: Cancel): Promise<void>
}
