// The start of a mover: recorded before it is asked for, tried in each placement, and found again after a death in between.

import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Debt, Job } from '../model/job.ts'
import type { TaskRequest } from '../ports/tasks.ts'
import { amend, owe, settle } from './debts.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { oweHotDisks } from './hot-disks.ts'
import { movedBy, type Step } from './step.ts'
import { startOrFull, taskTokenOf } from './task-start.ts'

type MoverDebt = Extract<Debt, { kind: 'mover' }>

/**
 * The debt names token and placement before the call. A call whose fate is unknown is repeated as the debt says, by whoever comes next:
 * one attempt never has two tokens of which a task may run. Only a placement that surely started nothing is exchanged for the next.
 * @throws BackupError `no-capacity` (retry later) when every placement was full: the next call begins with the first again
 */
export async function startMover(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Step> {
  await oweHotDisks(hold, deps, cancel)
  const { placements } = deps.tasks
  for (;;) {
    const mover = moverOf(hold.job()) ?? moverIn(hold.job(), { placement: 0, after: null })
    await owe(hold, mover, cancel)
    const answer = await startOrFull(startOf(hold.job(), { debt: mover, placements }), deps, cancel)
    if (!('full' in answer)) {
      await amend(hold, { ...mover, taskId: answer.taskId }, cancel)
      deps.log.info('mover.started', { taskId: answer.taskId, placement: mover.placement })
      return movedBy({ kind: 'transfer-started' })
    }
    const placement = (mover.placement + 1) % placements
    const next = moverIn(hold.job(), { placement, after: mover.clientToken })
    await settle(hold, { debt: mover, change: (job) => ({ ...job, owes: [...job.owes, next] }) }, cancel)
    deps.log.warn('placement.full', { placement: mover.placement, message: answer.full.message })
    if (placement === 0) throw allFull(answer.full, placements)
  }
}

/** The start that a debt stands for. Placements may have become fewer since: the token keeps that from being two tasks. */
export function startOf(
  job: Job,
  { debt, placements }: { readonly debt: MoverDebt; readonly placements: number },
): TaskRequest {
  const { attempt, clientToken, placement } = debt
  return { work: { kind: 'move', jobId: job.id, attempt }, clientToken, placement: placement % placements }
}

/** The start that the record names for the job's attempt. */
export function moverOf(job: Job): MoverDebt | null {
  for (const debt of job.owes) if (debt.kind === 'mover' && debt.attempt === job.attempt) return debt
  return null
}

function moverIn(
  { id, attempt }: Job,
  { placement, after }: { readonly placement: number; readonly after: string | null },
): MoverDebt {
  const clientToken = taskTokenOf({ id, attempt, placement, after })
  return { kind: 'mover', attempt, clientToken, placement, taskId: null }
}

function allFull(last: BackupError, placements: number): BackupError {
  if (placements === 1) return last
  return new BackupError(`Cannot start a mover in any of ${placements} places; the last: ${last.message}`, {
    code: 'no-capacity',
    retry: 'later',
    hint: last.hint ?? 'It is tried again from the first',
    facts: last.facts,
    cause: last,
  })
}
