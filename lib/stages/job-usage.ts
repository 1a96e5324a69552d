// What a job has used: each stage adds its own part in the write that moves the job on; the movers' comes from their attempts.

import type { Attempt, Job } from '../model/job.ts'
import { addUsage, NO_USAGE, type Usage } from '../model/usage.ts'
import type { StageDeps } from './deps.ts'

/**
 * What this call of a stage has used. What comes after it in the same call (its last write, its event, its message) is on the account
 * of the next call of the same function, whosesoever job that is: nothing is left out of the sum.
 */
export function stageUsage({ meter }: Pick<StageDeps, 'meter'>, elapsedMs: number): Usage {
  const calls = meter.functionGb === 0 ? {} : { functionCalls: 1, functionGbMs: meter.functionGb * elapsedMs }
  return addUsage(meter.take(), calls)
}

export function withUsage(job: Job, used: Usage): Job {
  return { ...job, usage: { ...job.usage, stages: addUsage(job.usage.stages, used) } }
}

/** Of all attempts together, also those whose mover died: as far as each had noted it. */
export function tasksUsage(attempts: readonly Attempt[]): Usage {
  return attempts.reduce((sum, { usage }) => addUsage(sum, usage), NO_USAGE)
}
