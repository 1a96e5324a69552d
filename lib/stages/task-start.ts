// Starting a task that outlives its stage: the token that makes the same start one task, and what comes when a place is full.

import { createHash } from 'node:crypto'
import { hasCode } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { TaskRequest, Tasks } from '../ports/tasks.ts'

/** The same id, attempt and placement give the same token: a start that is repeated is one task. */
export function taskTokenOf(start: { readonly id: string; readonly attempt: number; readonly placement: number }) {
  return createHash('sha256').update(`${start.id}#${start.attempt}#${start.placement}`).digest('hex').slice(0, 32)
}

/**
 * @returns 'full' when this placement has no room and surely nothing was started: only then may another be tried
 * @throws what leaves open whether it was started
 */
export async function startOrFull(
  request: TaskRequest,
  { tasks }: { readonly tasks: Tasks },
  cancel: Cancel,
): Promise<{ readonly taskId: string } | 'full'> {
  try {
    return await tasks.start(request, cancel)
  } catch (error) {
    if (hasCode(error, 'no-capacity')) return 'full'
    throw error
  }
}
