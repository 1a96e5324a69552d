// Long-running tasks: a container on Fargate, a child process on one machine. No code.

import type { Cancel } from '../base/time-limit.ts'
import type { JobId } from '../model/ids.ts'

export type MoverRequest = {
  readonly jobId: JobId
  readonly attempt: number
  /** The same token starts the same task once. */
  readonly clientToken: string
}

export type TaskState =
  | { readonly kind: 'running' }
  | { readonly kind: 'stopped'; readonly exitCode: number | null; readonly reason: string }
  /** Nobody knows of such a task (any more). */
  | { readonly kind: 'unknown' }

export interface Tasks {
  /** @throws BackupError `no-capacity` (retry later) when no place is free now */
  startMover(request: MoverRequest, cancel: Cancel): Promise<{ readonly taskId: string }>
  describe(taskId: string, cancel: Cancel): Promise<TaskState>
  /** Asks it to stop; it may take a while. */
  stop(taskId: string, cancel: Cancel): Promise<void>
}
