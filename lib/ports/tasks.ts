// Long-running tasks: a container on Fargate, a child process on one machine. No code.

import type { Cancel } from '../base/time-limit.ts'
import type { TaskWork } from '../model/task-work.ts'

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
  /**
   * The task that a start like this one made, whatever became of the call.
   * @returns null when none is known: it may never have been started, be listed late, or have ended
   */
  find(request: TaskRequest, cancel: Cancel): Promise<string | null>
  describe(taskId: string, cancel: Cancel): Promise<TaskState>
  /** Asks it to stop; it may take a while. */
  stop(taskId: string, cancel: Cancel): Promise<void>
}
