// A job's record in words for people: what it does, what it waits for, what it owes.

import { unreachable } from '../base/errors.ts'
import type { Attempt, Debt, Job, JobState } from '../model/job.ts'

const stateWords: Readonly<Record<JobState, string>> = {
  waiting: 'waiting to start',
  preparing: 'preparing',
  capturing: 'taking the snapshot',
  captured: 'snapshot taken',
  transferring: 'reading the disks',
  transferred: 'disks read',
  committed: 'restore point written',
  releasing: 'removing the snapshot',
  finishing: 'finishing',
  done: 'done',
}

/** One phrase, for example "preparing (attempt 2): waits for another job of this VM". */
export function describeJob(job: Pick<Job, 'state' | 'waitsFor' | 'attempt' | 'outcome'>): string {
  if (job.state === 'done' && job.outcome !== null) return `${job.outcome.kind}: ${job.outcome.message}`
  const again = job.attempt > 1 ? ` (attempt ${job.attempt})` : ''
  const waits = job.waitsFor === null ? '' : `: waits for ${job.waitsFor}`
  return `${stateWords[job.state]}${again}${waits}`
}

/** What must still be cleaned up, one sentence. */
export function describeDebt(debt: Debt): string {
  switch (debt.kind) {
    case 'place':
      return `a place in "${debt.resource}" to give back`
    case 'snapshot':
      return `snapshot "${debt.name}" to remove, if it exists`
    case 'guest':
      return 'a workspace in the guest to remove, if it exists'
    case 'hot-disk':
      return `disks attached to the mover's VM "${debt.moverVm}" to detach, if there are any`
    case 'mover':
      return `the mover of attempt ${debt.attempt} to be over${debt.taskId === null ? '' : ` (task "${debt.taskId}")`}`
    case 'annotation':
      return `earlier restore points to mark as unproven, as attempt ${debt.attempt} found`
    default:
      return unreachable(debt)
  }
}

/** Bytes of all disks together; null when no mover has begun. */
export function sumProgress(
  attempt: Pick<Attempt, 'progress'> | null,
): { readonly doneBytes: number; readonly totalBytes: number } | null {
  if (attempt === null || attempt.progress.length === 0) return null
  return {
    doneBytes: attempt.progress.reduce((sum, disk) => sum + disk.doneBytes, 0),
    totalBytes: attempt.progress.reduce((sum, disk) => sum + disk.totalBytes, 0),
  }
}
