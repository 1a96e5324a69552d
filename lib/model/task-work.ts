// What a task of ours is to do: the same words for a container, a child process and an event about either.

import type { JobId, OperationId } from './ids.ts'

export type TaskWork =
  | { readonly kind: 'move'; readonly jobId: JobId; readonly attempt: number }
  /** A restore or a check; its record says which. */
  | { readonly kind: 'operate'; readonly operationId: OperationId; readonly attempt: number }

/** What the program of a task is told to do, as words of its command line. */
export function argumentsOf(work: TaskWork): readonly string[] {
  const attempt = ['--attempt', String(work.attempt)]
  return work.kind === 'move'
    ? ['move', '--job', work.jobId, ...attempt]
    : ['operate', '--operation', work.operationId, ...attempt]
}
