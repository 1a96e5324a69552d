// abandon: the end of every dead letter. The job fails visibly and gives back what it owes.

import { isoTime } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import { advance, isBeforeCommit } from '../model/advance.ts'
import type { OperationId, RunId } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import type { AbandonMessage } from '../model/message.ts'
import { endOperation, nameOfOperation } from '../model/operation.ts'
import type { Outcome } from '../model/outcome.ts'
import { abandonAlarm } from './alarm.ts'
import type { StageDeps } from './deps.ts'
import { givingUp, hasFailedTooLong } from './giving-up.ts'
import { changeOperation } from './operation-record.ts'
import { refuseRun } from './plan.ts'
import { sendNext, withWake } from './send.ts'

export async function abandon(message: AbandonMessage, deps: StageDeps, cancel: Cancel): Promise<void> {
  const { target } = message
  if (target.kind === 'run') return abandonRun(target.runId, message.reason, { deps, cancel })
  if (target.kind === 'operation') return abandonOperation(target, message.reason, { deps, cancel })
  if (target.kind === 'alarm') return abandonAlarm(target.alarmId, message.reason, { deps, cancel })
  const found = await deps.jobStore.jobs.get(target.jobId, cancel)
  if (found === null || !isMeant(found.value, target)) {
    deps.log.warn('abandon.nothing-to-do', { job: target.jobId, reason: message.reason })
    return
  }
  const job = found.value
  const nowMs = deps.clock.nowMs()
  if (job.claim !== null && deps.isClaimLive(job.claim, nowMs)) {
    await deps.sender.send(message, { delayMs: deps.limits.claimMs }, cancel)
    return
  }
  const { next, delayMs } = givenUp(job, message.reason, deps)
  const value = withWake({ ...next, claim: null }, deps, delayMs)
  const answer = await deps.jobStore.jobs.replace(job.id, { value, version: found.version }, cancel)
  if (answer === 'conflict') return deps.sender.send(message, { delayMs: deps.limits.claimMs }, cancel)
  deps.log.error('job.abandoned', message.reason, { job: job.id, state: job.state })
  await sendNext(value, deps, { delayMs, ...cancel })
}

/** A job that has moved on since the message was sent is not meant: another copy of it was handled. */
function isMeant(job: Job, target: Extract<AbandonMessage['target'], { kind: 'job' }>): boolean {
  if (job.state === 'done' || job.attempt !== target.attempt) return false
  const { dead } = target
  return dead === undefined || (dead.stage === job.nextStage && dead.round === job.round)
}

/** After the commit nothing can fail any more: what is left to do is done again, for as long as release may try. */
function givenUp(job: Job, reason: string, deps: StageDeps): { readonly next: Job; readonly delayMs: number } {
  const failing = { ...job, failingSinceMs: job.failingSinceMs ?? deps.clock.nowMs() }
  if (!isBeforeCommit(job.state) && !hasFailedTooLong(failing, deps))
    return { next: { ...failing, round: job.round + 1 }, delayMs: deps.limits.againMostMs }
  const outcome: Outcome = {
    kind: 'failed',
    code: 'abandoned',
    message: `The backup of VM "${job.vm.name}" was given up while "${job.state}": ${reason}`,
    hint: 'The log of the stage tells more; start the backup again',
  }
  return { next: givingUp(job, outcome, deps).events.reduce(advance, job), delayMs: 0 }
}

/** Its task, if one runs, finds the record done at its next write and stops. */
async function abandonOperation(
  { operationId: id, round }: { readonly operationId: OperationId; readonly round: number },
  reason: string,
  { deps, cancel }: { readonly deps: StageDeps; readonly cancel: Cancel },
): Promise<void> {
  const at = isoTime(deps.clock.nowMs())
  const written = await changeOperation(
    id,
    (operation) => {
      if (operation.round !== round) return operation
      const message = `${nameOfOperation(operation)} was given up: ${reason}`
      const hint = 'The log of operate tells more; ask for it again'
      return endOperation(operation, {
        outcome: { kind: 'failed', code: 'abandoned', message, hint },
        result: operation.result,
        at,
      })
    },
    { deps, cancel },
  )
  if (written === null) return deps.log.warn('abandon.nothing-to-do', { operation: id, reason })
  deps.log.error('operation.abandoned', reason, { operation: id })
}

async function abandonRun(
  id: RunId,
  reason: string,
  { deps, cancel }: { readonly deps: StageDeps; readonly cancel: Cancel },
): Promise<void> {
  const found = await deps.jobStore.runs.get(id, cancel)
  if (found === null || found.value.state !== 'requested') return
  const message = `Run "${id}" of policy "${found.value.policy.name}" was given up before it was planned: ${reason}`
  const refusal: Outcome = {
    kind: 'failed',
    code: 'abandoned',
    message,
    hint: 'The log of plan tells more; start the backup again',
  }
  await refuseRun(found, refusal, { deps, cancel })
  deps.log.error('run.abandoned', message, { run: id })
}
