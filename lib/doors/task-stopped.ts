// The door that ends of tasks knock at: it wakes the stage that waits for the task. It decides nothing: the stage looks at the record, at
// what the task wrote and at the task itself, as it would have done a little later by itself.

import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import type { StageMessage } from '../model/message.ts'
import type { TaskWork } from '../model/task-work.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { Log } from '../ports/log.ts'
import type { MessageSender } from '../ports/queue.ts'

export type TaskStoppedDeps = {
  readonly jobStore: Pick<JobStore, 'jobs' | 'operations'>
  readonly sender: MessageSender
  readonly log: Log
}

/** The event may come before DescribeTasks says the same. */
const LISTED_MS = 2_000

/**
 * Copies, events that come late, and those of a task that nothing waits for wake nobody. A message too many does no harm: it carries the
 * record's round, so that of all copies one is handled, and the next wait begins with it.
 * @returns what was woken, or null
 */
export async function wakeForStopped(
  stopped: { readonly taskId: string; readonly work: TaskWork; readonly reason: string },
  { jobStore, sender, log }: TaskStoppedDeps,
  cancel: Cancel,
): Promise<StageMessage | null> {
  const { taskId, work, reason } = stopped
  const message =
    work.kind === 'move'
      ? wakesJob((await jobStore.jobs.get(work.jobId, cancel))?.value ?? null, { taskId, work })
      : await wakesOperation({ taskId, work }, jobStore, cancel)
  const facts = { taskId, reason, ...work }
  if (message === null) {
    log.info('task.stopped', { ...facts, wakes: null })
    return null
  }
  await sender.send(message, { delayMs: LISTED_MS }, cancel)
  log.info('task.stopped', { ...facts, wakes: message.kind })
  return message
}

type Move = Extract<TaskWork, { kind: 'move' }>
type Operate = Extract<TaskWork, { kind: 'operate' }>

/** transfer waits for the mover of the present attempt, release for every mover that the job owes. */
function wakesJob(
  job: Job | null,
  { taskId, work }: { readonly taskId: string; readonly work: Move },
): StageMessage | null {
  if (job === null) return null
  const owed = job.owes.find(
    (debt) =>
      debt.kind === 'mover' && debt.attempt === work.attempt && (debt.taskId === null || debt.taskId === taskId),
  )
  const { id: jobId, attempt, round, nextStage: kind } = job
  if (owed === undefined) return null
  if (kind === 'release' || (kind === 'transfer' && attempt === work.attempt))
    return { v: 1, kind, jobId, attempt, round }
  return null
}

async function wakesOperation(
  { taskId, work }: { readonly taskId: string; readonly work: Operate },
  { operations }: Pick<JobStore, 'operations'>,
  cancel: Cancel,
): Promise<StageMessage | null> {
  const operation = (await operations.get(work.operationId, cancel))?.value
  if (operation === undefined || operation.state === 'done' || operation.attempt !== work.attempt) return null
  if (operation.taskId !== null && operation.taskId !== taskId) return null
  return { v: 1, kind: 'operate', operationId: operation.id, round: operation.round }
}
