// capture: freeze, snapshot, thaw in one invocation, and the record of what was frozen.

import { isDeepStrictEqual } from 'node:util'
import { closedWindow } from '../model/begin-before.ts'
import { waitsForProducts } from '../model/foreign-snapshots.ts'
import type { GradeRecord } from '../model/grade.ts'
import { endOfRun } from '../model/guest.ts'
import { snapshotNameOf } from '../model/ids.ts'
import type { Capture, Job } from '../model/job.ts'
import { ladderFor } from '../model/ladder.ts'
import type { Notice } from '../model/outcome.ts'
import { gradeSatisfies } from '../model/policy.ts'
import type { VmState } from '../model/vm.ts'
import { disksOnLostDeltas } from '../model/vm-layers.ts'
import { waitsForTasks } from '../model/vm-task.ts'
import { recordOf, type Taken, type Target } from './capture-record.ts'
import { climbDown } from './climb.ts'
import { owe } from './debts.ts'
import type { StageDeps } from './deps.ts'
import { addEvidence, evidenceOf } from './evidence.ts'
import { enterGuest } from './guest/enter-guest.ts'
import { collectWriters } from './guest/vss-writers.ts'
import { accessNotice } from './guest/way-in.ts'
import type { JobHold } from './hold.ts'
import { judgeVm } from './judge.ts'
import { lateSnapshot } from './late-snapshot.ts'
import { clearedVm } from './snapshots.ts'
import { movedBy, type StageCall, type Step } from './step.ts'

export async function capture(hold: JobHold, deps: StageDeps, call: StageCall): Promise<Step> {
  // Everything, the last thaw too, must fit the time of one invocation.
  const endMs = deps.clock.monotonicMs() + deps.limits.captureMs
  if (call.tookOver) {
    const job = await hold.update((each) => ({ ...each, attempt: each.attempt + 1 }), call)
    if (job.attempt > job.policy.attemptsMax) return movedBy({ kind: 'failed', outcome: interruptedTooOften(job) })
  }
  const closed = closedWindow(hold.job(), deps.clock.nowMs())
  if (closed !== null) return movedBy({ kind: 'failed', outcome: closed })
  await using session = await deps.vsphere.open(call)

  const { moref } = hold.job().vm
  // Tasks before the tree: what a task makes that ends between the two looks is then seen in the tree.
  const busy = waitsForTasks(await session.runningTasks(moref, call))
  if (busy !== null) return again(deps, busy)
  // A snapshot of ours without a complete record is removed and made anew, never adopted.
  const vm = await clearedVm({ session, job: hold.job() }, deps, call)
  if ('waitsFor' in vm) return again(deps, vm.waitsFor)
  const temporary = waitsForProducts(vm.snapshots, deps.clock.nowMs())
  if (temporary !== null) return again(deps, temporary)
  const late = await lateSnapshot(hold, vm, { deps, cancel: call })
  if (late !== null) return again(deps, late)
  const judged = judgeVm(vm, hold.job())
  if ('outcome' in judged) return movedBy({ kind: 'failed', outcome: judged.outcome })
  const { excludedDisks, notices } = judged
  if (!isDeepStrictEqual(hold.job().excludedDisks, excludedDisks))
    await hold.update((job) => ({ ...job, excludedDisks, notices: joined(job.notices, notices) }), call)

  const name = snapshotNameOf({ job: hold.job().id, purpose: 'backup', attempt: hold.job().attempt })
  await owe(hold, { kind: 'snapshot', name }, call)
  await forgetLate(hold, vm, call)
  const taken = await snapshotWithGuest({ session, vm, name, job: hold.job() }, hold, { deps, call, endMs })
  if ('outcome' in taken) {
    await addEvidence(hold, evidenceOf(taken.failedRuns), call)
    return movedBy({ kind: 'failed', outcome: taken.outcome })
  }
  const target: Target = { session, vm, name, job: hold.job() }
  const record = await recordOf(target, taken, call)
  const { grade } = record
  const { reached, freezeMs, snapshotMs } = grade
  deps.log.info('snapshot.taken', { snapshot: name, grade: reached, freezeMs, snapshotMs })
  await addEvidence(hold, evidenceOf([...taken.failedRuns, ...(taken.freeze?.runs ?? [])]), call)
  if (!gradeSatisfies(reached, target.job.policy.consistency.require))
    return movedBy({ kind: 'failed', outcome: gradeNotReached(target.job, grade) })
  return movedBy({
    kind: 'captured',
    capture: record,
    notices: noticesOf(target.job, taken, grade),
    at: record.takenAt,
  })
}

type Call = { readonly deps: StageDeps; readonly call: StageCall; readonly endMs: number }

/** A snapshot that is begun now may be late again, unless the disks run on deltas whatever we do. */
async function forgetLate(hold: JobHold, vm: VmState, call: StageCall): Promise<void> {
  if (hold.job().unlistedSinceMs === null || disksOnLostDeltas(vm).length > 0) return
  await hold.update((job) => ({ ...job, unlistedSinceMs: null }), call)
}

/** The channel is opened before anything is frozen and stays open until the guest is thawed: a thaw needs no login. */
async function snapshotWithGuest(target: Target, hold: JobHold, { deps, call, endMs }: Call) {
  const at = { session: target.session, vm: target.vm, job: target.job }
  await using entered = await enterGuest(at, hold, { deps, cancel: call })

  const ladder = ladderFor({ vm: target.vm, policy: target.job.policy, guest: target.job.guest })
  const taken = await climbDown(
    {
      target,
      ladder,
      hold,
      guest: entered.guest,
      whyNotFreezable: entered.reason,
      deps,
      endMs,
      onQuiesceFault: () =>
        collectWriters({ ...at, channel: entered.guest?.channel ?? null }, hold, { deps, cancel: call }),
    },
    call,
  )
  return { ...taken, attempts: entered.attempts, warnings: entered.warnings }
}

/** What an operator should hear of a point that is good, and not as good as it was wanted. */
function noticesOf(job: Job, taken: Taken, grade: GradeRecord): readonly Notice[] {
  const notices: Notice[] = taken.warnings.map(accessNotice)
  const wanted = job.policy.consistency.want
  const failed = taken.freeze?.runs.find((run) => run.stage === 'post-thaw' && !run.succeeded)
  if (failed !== undefined) {
    const message = `The post-thaw script of "${job.vm.name}" failed (${endOfRun(failed)}); the restore point itself is as consistent as it says`
    notices.push({ code: 'post-thaw-failed', message, hint: 'Look whether its application runs as it should' })
  }
  if (wanted === 'application' && !gradeSatisfies(grade.reached, wanted)) {
    const message = `VM "${job.vm.name}" reached grade "${grade.reached}", not "application": ${grade.fallbacks.join('; ')}`
    notices.push({ code: 'grade-lower', message, hint: 'To have no such point, set consistency.require: application' })
  }
  return notices
}

function joined(own: readonly Notice[], more: readonly Notice[]): readonly Notice[] {
  return [...own, ...more.filter(({ message }) => !own.some((each) => each.message === message))]
}

function again(deps: StageDeps, waitsFor: string): Step {
  return { kind: 'again', delayMs: deps.limits.pollMs, waitsFor }
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
