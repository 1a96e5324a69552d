// Tells the world that a job has moved on: an event for each state it enters, after the write that moves it and before the message
// that wakes the next stage. A move whose event was lost with its program has lost its message, too: whoever sends that again
// tells the state again. Consumers see an id more than once, never a state that was not entered.

import { isoTime } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import type { Operation } from '../model/operation.ts'
import type { Run } from '../model/run.ts'
import type { DomainEvent } from '../ports/log.ts'
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
  const { id, attempt, state, outcome, vm } = job
  const data = {
    run: job.runId,
    policy: job.policy.name,
    vm: vm.name,
    vmId: vm.vmId,
    attempt,
    ...(outcome === null ? {} : { outcome: outcome.kind, code: outcome.code }),
    ...(state === 'committed' ? { point: job.pointId, grade: job.capture?.grade.reached ?? '' } : {}),
  }
  await tell({ id: `${id}.${attempt}.${state}`, type: `coldframe.job.${state}`, subject: id, data }, deps, cancel)
}

export async function tellRun(run: Run, deps: StageDeps, cancel: Cancel): Promise<void> {
  const { id, state, refusal } = run
  const data = {
    door: run.door,
    policy: run.policy.name,
    jobs: run.jobIds.length,
    ...(refusal === null ? {} : { code: refusal.code, message: refusal.message }),
  }
  await tell({ id: `${id}.${state}`, type: `coldframe.run.${state}`, subject: id, data }, deps, cancel)
}

export async function tellOperation(operation: Operation, deps: StageDeps, cancel: Cancel): Promise<void> {
  const { id, attempt, state, outcome, request } = operation
  const data = {
    operation: request.kind,
    point: request.point,
    requestedBy: operation.requestedBy,
    attempt,
    ...(outcome === null ? {} : { outcome: outcome.kind, code: outcome.code }),
  }
  const type = `coldframe.operation.${state}`
  await tell({ id: `${id}.${attempt}.${state}`, type, subject: id, data }, deps, cancel)
}

async function tell(event: Omit<DomainEvent, 'at'>, deps: StageDeps, cancel: Cancel): Promise<void> {
  try {
    await deps.events.publish({ ...event, at: isoTime(deps.clock.nowMs()) }, cancel)
  } catch (error) {
    deps.metrics.count('event.lost', 1)
    deps.log.warn('event.lost', { event: event.id, type: event.type, message: messageOf(error) })
  }
}
