// A job of a schedule that has not begun to capture when the window closes is skipped: never half a snapshot. Pure.

import { parseSnapshotName } from './ids.ts'
import type { Job } from './job.ts'
import type { Outcome } from './outcome.ts'

/** @returns how the job ends now; null while it may begin, or has begun */
export function closedWindow(
  job: Pick<Job, 'vm' | 'policy' | 'beginBefore' | 'freezes' | 'owes' | 'state'>,
  nowMs: number,
): Outcome | null {
  const { beginBefore } = job
  if (beginBefore === null || nowMs < Date.parse(beginBefore) || hasBegun(job)) return null
  return {
    kind: 'skipped',
    code: 'window-closed',
    message: `VM "${job.vm.name}" was not backed up: the window of policy "${job.policy.name}" closed at ${beginBefore} before its turn came`,
    hint: 'Open the window longer, or let fewer VMs share it; "coldframe jobs" tells what others waited for',
  }
}

/** A guest was frozen, or a snapshot to be read may exist: then the backup is brought to its end. */
function hasBegun({ state, freezes, owes }: Pick<Job, 'freezes' | 'owes' | 'state'>): boolean {
  if (state !== 'waiting' && state !== 'preparing' && state !== 'capturing') return true
  return (
    freezes > 0 || owes.some((debt) => debt.kind === 'snapshot' && parseSnapshotName(debt.name)?.purpose === 'backup')
  )
}
