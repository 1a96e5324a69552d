// Cancelling: a wish in the record, which stages honour at their next step. Nothing is torn off: what is owed is given back.

import type { Job, JobState } from './job.ts'
import { nameOfOperation, type Operation } from './operation.ts'
import type { Outcome } from './outcome.ts'
import type { Run } from './run.ts'

/** Once the disks are read the point is moments away: it is written. */
const BEFORE_END: ReadonlySet<JobState> = new Set(['waiting', 'preparing', 'capturing', 'captured', 'transferring'])

export function mayBeCancelled({ state }: Pick<Job, 'state'>): boolean {
  return BEFORE_END.has(state)
}

/** Whether the next step of this job is its end. */
export function isCancelled({ state, cancelRequestedAt }: Pick<Job, 'state' | 'cancelRequestedAt'>): boolean {
  return cancelRequestedAt !== null && mayBeCancelled({ state })
}

export function cancelledJob({ vm, state }: Pick<Job, 'vm' | 'state'>): Outcome {
  return {
    kind: 'failed',
    code: 'cancelled',
    message: `The backup of VM "${vm.name}" was cancelled while "${state}"`,
    hint: 'Nothing is to be done; start the backup again when it is wanted',
  }
}

export function cancelledRun({ policy }: Pick<Run, 'policy'>): Outcome {
  const message = `The run of policy "${policy.name}" was cancelled before it was planned`
  return { kind: 'failed', code: 'cancelled', message, hint: 'Start the backup again when it is wanted' }
}

export function cancelledOperation(operation: Pick<Operation, 'request'>) {
  return {
    kind: 'failed',
    code: 'cancelled',
    message: `${nameOfOperation(operation)} was cancelled`,
    hint: 'Nothing is to be done; ask for it again when it is wanted',
  } as const satisfies Outcome
}
