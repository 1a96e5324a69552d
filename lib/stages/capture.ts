// capture: freeze, snapshot, thaw in one invocation, and the record of what was frozen.

import { isDeepStrictEqual } from 'node:util'
import { hasCode, messageOf } from '../base/errors.ts'
import { type Cancel, withTimeLimit } from '../base/time-limit.ts'
import { type Moref, snapshotNameOf } from '../model/ids.ts'
import type { Capture, Job } from '../model/job.ts'
import { gradeSatisfies } from '../model/policy.ts'
import { recordOf, type Taken, type Target } from './capture-record.ts'
import { owe } from './debts.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { judgeVm } from './judge.ts'
import { ladderFor, type Rung } from './ladder.ts'
import { clearedVm, removeSnapshots, snapshotsOfJob } from './snapshots.ts'
import { movedBy, type StageCall, type Step } from './step.ts'

export async function capture(hold: JobHold, deps: StageDeps, call: StageCall): Promise<Step> {
  if (call.tookOver) {
    const job = await hold.update((each) => ({ ...each, attempt: each.attempt + 1 }), call)
    if (job.attempt > job.policy.attemptsMax) return movedBy({ kind: 'failed', outcome: interruptedTooOften(job) })
  }
  await using session = await deps.vsphere.open(call)

  const { moref } = hold.job().vm
  // Tasks before the tree: what a task makes that ends between the two looks is then seen in the tree.
  const tasks = await session.runningTasks(moref, call)
  if (tasks.length > 0)
    return again(deps, `a running task on the VM: ${tasks.map((task) => `"${task.name}"`).join(', ')}`)
  // A snapshot of ours without a complete record is removed and made anew, never adopted.
  const vm = await clearedVm({ session, job: hold.job() }, deps, call)
  if (vm === null) return again(deps, 'the removal of an earlier snapshot and the consolidation of its disks')
  const judged = judgeVm(vm, hold.job())
  if ('outcome' in judged) return movedBy({ kind: 'failed', outcome: judged.outcome })
  const { excludedDisks, notices } = judged
  if (!isDeepStrictEqual(hold.job().excludedDisks, excludedDisks))
    await hold.update((job) => ({ ...job, excludedDisks, notices }), call)

  const name = snapshotNameOf({ job: hold.job().id, purpose: 'backup', attempt: hold.job().attempt })
  await owe(hold, { kind: 'snapshot', name }, call)
  const target: Target = { session, vm, name, job: hold.job() }
  const taken = await climbDown(target, deps, call)
  if ('outcome' in taken) return movedBy({ kind: 'failed', outcome: taken.outcome })
  const record = await recordOf(target, taken, call)
  const { grade } = record
  deps.log.info('snapshot.taken', { snapshot: name, grade: grade.reached, snapshotMs: grade.snapshotMs })
  if (!gradeSatisfies(grade.reached, target.job.policy.consistency.require))
    return movedBy({ kind: 'failed', outcome: gradeNotReached(target.job, grade) })
  return movedBy({ kind: 'captured', capture: record, at: record.takenAt })
}

function again(deps: StageDeps, waitsFor: string): Step {
  return { kind: 'again', delayMs: deps.limits.pollMs, waitsFor }
}

async function climbDown(
  target: Target,
  deps: StageDeps,
  cancel: Cancel,
): Promise<Taken | { readonly outcome: NonNullable<Job['outcome']> }> {
  const { rungs, fallbacks: known } = ladderFor(target.vm, target.job.policy)
  const fallbacks = [...known]
  const limited = { signal: withTimeLimit(cancel.signal, deps.limits.captureMs) }
  for (const rung of rungs) {
    const triesMax = rung.quiesce.kind === 'none' ? 1 : deps.limits.quiesceTries
    for (let tries = 1; tries <= triesMax; tries++) {
      const startedMs = deps.clock.monotonicMs()
      try {
        const snapshot = await snapshotNow(target, rung, limited)
        return { snapshot, rung, fallbacks, snapshotMs: Math.round(deps.clock.monotonicMs() - startedMs) }
      } catch (error) {
        if (!hasCode(error, 'snapshot-quiesce-failed')) throw error
        deps.log.warn('snapshot.quiesce-failed', { tries, message: messageOf(error) })
        if (tries === triesMax) fallbacks.push(messageOf(error))
        else await deps.clock.sleep(deps.limits.quiesceWaitMs, limited)
      }
      await removeRemains(target, deps, cancel)
    }
  }
  const wish = target.job.policy.consistency.require
  const message = `Cannot snapshot VM "${target.job.vm.name}" with grade "${wish}": ${fallbacks.join('; ')}`
  return {
    outcome: {
      kind: 'failed',
      code: 'grade-not-reached',
      message,
      hint: 'Mend quiescing in the guest, or let the policy require less (consistency.require)',
    },
  }
}

function snapshotNow({ session, vm, name, job }: Target, rung: Rung, cancel: Cancel): Promise<Moref> {
  const description = `Coldframe backup, job ${job.id}, attempt ${job.attempt}; removed when the disks are read`
  return session.createSnapshot({ vm: vm.moref, name, description, quiesce: rung.quiesce }, cancel)
}

/** A failed quiesce may leave a snapshot all the same. */
async function removeRemains({ session, vm, job }: Target, deps: StageDeps, cancel: Cancel): Promise<void> {
  const after = await session.readVm(vm.moref, cancel)
  const own = snapshotsOfJob(after, job.id)
  if (own.length > 0) await removeSnapshots({ session, vm: vm.moref, snapshots: own }, deps, cancel)
}

function gradeNotReached(job: Job, grade: Capture['grade']): NonNullable<Job['outcome']> {
  const message = `VM "${job.vm.name}" was snapshotted with grade "${grade.reached}", less than the required "${job.policy.consistency.require}": ${grade.fallbacks.join('; ')}`
  return {
    kind: 'failed',
    code: 'grade-not-reached',
    message,
    hint: 'Mend quiescing in the guest, or let the policy require less (consistency.require)',
  }
}

function interruptedTooOften(job: Job): NonNullable<Job['outcome']> {
  const message = `The capture of VM "${job.vm.name}" was interrupted ${job.policy.attemptsMax} times`
  return {
    kind: 'failed',
    code: 'capture-interrupted',
    message,
    hint: 'Look for what ends the program, then start the backup again',
  }
}
