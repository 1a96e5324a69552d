// Tells the world that a job has moved on: an event for each state it enters, after the write that moves it and before the message
// that wakes the next stage. A move whose event was lost with its program has lost its message, too: whoever sends that again
// tells the state again. Consumers see an id more than once, never a state that was not entered.

import { isoTime } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import type { StageDeps } from './deps.ts'

export async function tellMove(
  { before, job }: { readonly before: Job; readonly job: Job },
  deps: StageDeps,
  cancel: Cancel,
): Promise<void> {
  if (before.state !== job.state || before.attempt !== job.attempt) await tellState(job, deps, cancel)
}

/** An event bus that refuses holds up no backup: it is logged, and the job goes on. */
export async function tellState(job: Job, deps: StageDeps, cancel: Cancel): Promise<void> {
  // How it ended is told by finish, with everything there is to say.
  if (job.state === 'done' && job.outcome?.kind !== 'skipped') return
  try {
    await deps.events.publish(
      {
        id: `${job.id}.${job.attempt}.${job.state}`,
        type: `coldframe.job.${job.state}`,
        subject: job.id,
        at: isoTime(deps.clock.nowMs()),
        data: {
          run: job.runId,
          policy: job.policy.name,
          vm: job.vm.name,
          vmId: job.vm.vmId,
          attempt: job.attempt,
          ...(job.outcome === null ? {} : { outcome: job.outcome.kind, code: job.outcome.code }),
          ...(job.state === 'committed' ? { point: job.pointId, grade: job.capture?.grade.reached ?? '' } : {}),
        },
      },
      cancel,
    )
  } catch (error) {
    deps.metrics.count('event.lost', 1)
    deps.log.warn('event.lost', { job: job.id, state: job.state, message: messageOf(error) })
  }
}
