// The door out: notes that a job, a run or an operation is no longer wanted, and wakes whoever will honour that.

import { changeRecord } from '../base/change-record.ts'
import { type Clock, isoTime } from '../base/clock.ts'
import { BackupError, quote } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { mayBeCancelled } from '../model/cancel.ts'
import type { JobId, OperationId, RunId } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import type { Operation } from '../model/operation.ts'
import type { Run } from '../model/run.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { MessageSender } from '../ports/queue.ts'

type Call = {
  readonly deps: { readonly clock: Clock; readonly jobStore: JobStore; readonly sender: MessageSender }
  readonly cancel: Cancel
}

/**
 * The job ends at its next step, with outcome "failed" and code "cancelled"; asked for twice, it is the same wish.
 * @throws BackupError `job-not-found`; `too-late-to-cancel` (refused) once its disks are read
 */
export async function cancelJob(id: JobId, { deps, cancel }: Call): Promise<Job> {
  const found = await noteOnJob(id, { deps, cancel })
  if (found === null) throw notFound('job', id)
  if (found.cancelRequestedAt === null) throw tooLate(`job "${id}"`, `it is "${found.state}"`)
  return found
}

/**
 * Every job of the run that still may be is cancelled; one that is not planned yet gets none.
 * @throws BackupError `run-not-found`; `too-late-to-cancel` (refused) when nothing of it is left to cancel
 */
export async function cancelRun(id: RunId, { deps, cancel }: Call): Promise<Run> {
  const at = isoTime(deps.clock.nowMs())
  const wish = (run: Run): Run =>
    run.state === 'refused' || run.cancelRequestedAt !== null ? run : { ...run, cancelRequestedAt: at }
  const found = await changeRecord(deps.jobStore.runs, { id, change: wish }, cancel)
  if (found === null) throw notFound('run', id)
  const run = found.value
  if (run.state === 'requested') {
    await deps.sender.send({ v: 1, kind: 'plan', runId: id }, { delayMs: 0 }, cancel)
    return run
  }
  if (run.state === 'refused' && run.cancelRequestedAt !== null) return run
  const jobs: Job[] = []
  for (const jobId of run.jobIds) {
    const job = await noteOnJob(jobId, { deps, cancel })
    if (job !== null) jobs.push(job)
  }
  if (jobs.some((job) => job.cancelRequestedAt !== null)) return run
  throw tooLate(`run "${id}"`, run.state === 'refused' ? 'it was refused' : 'the disks of all its VMs are read')
}

/** @throws BackupError `operation-not-found`; `too-late-to-cancel` (refused) when it is done */
export async function cancelOperation(id: OperationId, { deps, cancel }: Call): Promise<Operation> {
  const at = isoTime(deps.clock.nowMs())
  const wish = (operation: Operation): Operation =>
    operation.state === 'done' || operation.cancelRequestedAt !== null
      ? operation
      : { ...operation, cancelRequestedAt: at }
  const found = await changeRecord(deps.jobStore.operations, { id, change: wish }, cancel)
  if (found === null) throw notFound('operation', id)
  const operation = found.value
  if (operation.cancelRequestedAt === null) throw tooLate(`operation "${id}"`, 'it is done')
  if (operation.state !== 'done')
    await deps.sender.send({ v: 1, kind: 'operate', operationId: id, round: operation.round }, { delayMs: 0 }, cancel)
  return operation
}

/** The record first, the wake-up after it: a stage that is at work goes on to its own end and then finds the wish. */
async function noteOnJob(id: JobId, { deps, cancel }: Call): Promise<Job | null> {
  const at = isoTime(deps.clock.nowMs())
  const wish = (job: Job): Job =>
    mayBeCancelled(job) && job.cancelRequestedAt === null ? { ...job, cancelRequestedAt: at } : job
  const found = await changeRecord(deps.jobStore.jobs, { id, change: wish }, cancel)
  if (found === null) return null
  const { nextStage, attempt, round, claim } = found.value
  if (nextStage !== null && claim === null && mayBeCancelled(found.value))
    await deps.sender.send({ v: 1, kind: nextStage, jobId: id, attempt, round }, { delayMs: 0 }, cancel)
  return found.value
}

function notFound(what: 'job' | 'run' | 'operation', id: string): BackupError {
  return new BackupError(`Cannot find ${what} ${quote(id)}`, {
    code: `${what}-not-found`,
    kind: 'not-found',
    hint:
      what === 'operation'
        ? 'Give the whole id, as its start told it'
        : 'Give the whole id; "coldframe jobs" lists them',
    facts: { [what]: id },
  })
}

function tooLate(what: string, why: string): BackupError {
  return new BackupError(`Cannot cancel ${what}: ${why}`, {
    code: 'too-late-to-cancel',
    kind: 'refused',
    hint: 'It comes to its end by itself; a restore point that nobody needs is let go by the keep rules',
  })
}
