// The word by which a task of ours is found again: ECS keeps it with the task, lists tasks by it and tells it in events.

import { parseJobId, parseOperationId } from '../model/ids.ts'
import type { TaskWork } from '../model/task-work.ts'

/** At most 128 of letters, digits, '-', '/' and '_'. */
export function startedByOf({ work, clientToken }: { readonly work: TaskWork; readonly clientToken: string }): string {
  const id = work.kind === 'move' ? work.jobId : work.operationId
  return `coldframe/${work.kind}/${id}/${work.attempt}/${clientToken.slice(0, 40)}`
}

/** @returns null for a task that somebody else started */
export function parseStartedBy(text: string): TaskWork | null {
  const match = /^coldframe\/(move|operate)\/([0-9a-f]{32})\/([1-9][0-9]{0,3})\/[A-Za-z0-9_-]{1,40}$/.exec(text)
  if (match === null) return null
  const [, kind, id = '', digits] = match
  const attempt = Number(digits)
  return kind === 'move'
    ? { kind, jobId: parseJobId(id), attempt }
    : { kind: 'operate', operationId: parseOperationId(id), attempt }
}
