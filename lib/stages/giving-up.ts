// The ends of waiting and of failing: before the commit the job fails; after it, what stays behind is said.

import { isoTime } from '../base/clock.ts'
import { isBeforeCommit } from '../model/advance.ts'
import type { Job } from '../model/job.ts'
import type { Outcome } from '../model/outcome.ts'
import type { StageDeps } from './deps.ts'
import { leftBehind } from './release.ts'
import { type Moved, movedBy, type Step } from './step.ts'

/** Before the commit the job fails; after it, what could not be given back is said and left to the next backup. */
export function givingUp(job: Job, outcome: Outcome, deps: StageDeps): Moved {
  const at = isoTime(deps.clock.nowMs())
  if (isBeforeCommit(job.state)) return movedBy({ kind: 'failed', outcome })
  if (job.state === 'finishing')
    return movedBy({
      kind: 'finished',
      at,
      notices: [leftBehind(job.vm.name, job.owes)].filter(() => job.owes.length > 0),
    })
  // Points are marked by finish, which comes next.
  const left = job.owes.filter(({ kind }) => kind !== 'annotation')
  return movedBy({ kind: 'released', at, notice: leftBehind(job.vm.name, left) })
}

/** Whether the job's present row of failures has lasted for as long as it may. */
export function hasFailedTooLong(job: Job, deps: StageDeps): boolean {
  const nowMs = deps.clock.nowMs()
  const limitMs = isBeforeCommit(job.state) ? deps.limits.stageMs : deps.limits.releaseMs
  return nowMs - (job.failingSinceMs ?? nowMs) >= limitMs
}

/** Every wait has an end: a stage that asked to be woken for too long gives up. */
export function boundedWait(step: Step, job: Job, deps: StageDeps): Step {
  if (step.kind === 'moved' || step.failing === true || job.waitSinceMs === null) return step
  if (deps.clock.nowMs() - job.waitSinceMs < waitLimitMs(job, deps)) return step
  const outcome: Outcome = {
    kind: 'failed',
    code: 'waited-too-long',
    message: `The backup of VM "${job.vm.name}" waited too long for ${step.waitsFor}`,
    hint: step.hint ?? "Look at the VM's tasks in vCenter, then start the backup again",
  }
  return givingUp(job, outcome, deps)
}

function waitLimitMs({ nextStage }: Job, { limits }: StageDeps): number {
  if (nextStage === 'release') return limits.releaseMs
  return nextStage === 'transfer' ? limits.transferMs : limits.busyMs + limits.stageMs
}

/** Whoever worked on the job died without a word, again and again. */
export function interruptedTooLong(job: Job): Outcome {
  return {
    kind: 'failed',
    code: 'interrupted',
    message: `The backup of VM "${job.vm.name}" was interrupted again and again while "${job.state}"`,
    hint: 'Look for what ends the program, then start the backup again',
  }
}
