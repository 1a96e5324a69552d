// Starting a task that outlives its stage: the token that makes the same start one task, and what comes when a place is full.

import { createHash } from 'node:crypto'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { TaskRequest, Tasks } from '../ports/tasks.ts'

/**
 * The same words give the same token: a start that is repeated is one task. After a start that found no room the next one has another
 * token, also in the same placement: what a service answers to a token that it has refused once is written nowhere.
 * @param start.after the token that found no room before, if any
 */
export function taskTokenOf(start: {
  readonly id: string
  readonly attempt: number
  readonly placement: number
  readonly after: string | null
}): string {
  const words = [start.id, start.attempt, start.placement, ...(start.after === null ? [] : [start.after])]
  return createHash('sha256').update(words.join('#')).digest('hex').slice(0, 32)
}

/**
 * @returns `full` when this placement has no room and surely nothing was started: only then may another be tried
 * @throws what leaves open whether it was started
 */
export async function startOrFull(
  request: TaskRequest,
  { tasks }: { readonly tasks: Tasks },
  cancel: Cancel,
): Promise<{ readonly taskId: string } | { readonly full: BackupError }> {
  try {
    return await tasks.start(request, cancel)
  } catch (error) {
    if (error instanceof BackupError && error.code === 'no-capacity') return { full: error }
    throw error
  }
}
