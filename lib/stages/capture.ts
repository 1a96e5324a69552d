// capture: freeze, snapshot, thaw in one invocation, and the record of what was frozen.

import { BackupError, hasCode, messageOf } from '../base/errors.ts'
import { type Cancel, withTimeLimit } from '../base/time-limit.ts'
import type { GradeRecord } from '../model/grade.ts'
import { type Moref, snapshotNameOf } from '../model/ids.ts'
import type { Capture, Job } from '../model/job.ts'
import { type Grade, gradeSatisfies, type Policy } from '../model/policy.ts'
import { isExcluded } from '../model/preflight.ts'
import { flattenSnapshots, type VmState } from '../model/vm.ts'
import type { Quiesce, VsphereSession } from '../ports/vsphere.ts'
import { owe } from './debts.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { removeSnapshots, snapshotsOfJob } from './snapshots.ts'
import { movedBy, type StageCall, type Step } from './step.ts'

/** One rung of the ladder: a way to snapshot and the grade it gives when the snapshot says that it was quiesced. */
export type Rung = {
  readonly quiesce: Quiesce
  readonly grade: Grade | 'offline'
  readonly method: GradeRecord['method']
}

export async function capture(hold: JobHold, deps: StageDeps, call: StageCall): Promise<Step> {
  if (call.tookOver) {
    const job = await hold.update((each) => ({ ...each, attempt: each.attempt + 1 }), call)
    if (job.attempt > job.policy.attemptsMax) return movedBy({ kind: 'failed', outcome: interruptedTooOften(job) })
  }
  await using session = await deps.vsphere.open(call)

  const job = hold.job()
  const vm = await session.readVm(job.vm.moref, call)
  // A snapshot of ours without a complete record is removed and made anew, never adopted.
  const own = snapshotsOfJob(vm, job.id)
  const clean = own.length === 0 ? vm : await removeSnapshots({ session, vm: vm.moref, snapshots: own }, deps, call)
  if (clean.consolidationNeeded || snapshotsOfJob(clean, job.id).length > 0) {
    return { kind: 'again', delayMs: deps.limits.pollMs, waitsFor: 'the removal of an earlier snapshot of this job' }
  }
  const tasks = await session.runningTasks(vm.moref, call)
  if (tasks.length > 0) {
    return {
      kind: 'again',
      delayMs: deps.limits.pollMs,
      waitsFor: `a running task on the VM: ${tasks.map((task) => `"${task.name}"`).join(', ')}`,
    }
  }
  const name = snapshotNameOf({ job: job.id, purpose: 'backup', attempt: job.attempt })
  await owe(hold, { kind: 'snapshot', name }, call)
  const taken = await climbDown({ session, vm: clean, name, job }, deps, call)
  if ('outcome' in taken) return movedBy({ kind: 'failed', outcome: taken.outcome })
  const record = await recordOf({ session, vm: clean, name, job, ...taken }, deps, call)
  if (!gradeSatisfies(record.grade.reached, job.policy.consistency.require)) {
    return movedBy({ kind: 'failed', outcome: gradeNotReached(job, record.grade) })
  }
  return movedBy({ kind: 'captured', capture: record, at: record.takenAt })
}

/** The rungs to try, best first, down to what the policy requires. Pure. */
export function ladderFor(
  vm: Pick<VmState, 'powerState' | 'guest'>,
  policy: Policy,
): { readonly rungs: readonly Rung[]; readonly fallbacks: readonly string[] } {
  const plain: Rung = { quiesce: { kind: 'none' }, grade: 'crash', method: 'none' }
  if (vm.powerState === 'poweredOff') return { rungs: [{ ...plain, grade: 'offline' }], fallbacks: [] }
  const fallbacks: string[] = []
  const rungs: Rung[] = []
  const { want, require } = policy.consistency
  if (want === 'application')
    fallbacks.push('Grade "application" needs guest processing, which this release does not have')
  if (want !== 'crash') {
    if (vm.powerState === 'suspended') fallbacks.push('The VM is suspended: its guest cannot be quiesced')
    else if (!vm.guest.toolsRunning) fallbacks.push('VMware Tools does not run in the guest: it cannot be quiesced')
    else rungs.push({ quiesce: { kind: 'tools' }, grade: 'filesystem', method: 'tools' })
  }
  if (require === 'crash') rungs.push(plain)
  return { rungs, fallbacks }
}

type Target = { readonly session: VsphereSession; readonly vm: VmState; readonly name: string; readonly job: Job }
type Taken = {
  readonly snapshot: Moref
  readonly rung: Rung
  readonly snapshotMs: number
  readonly fallbacks: readonly string[]
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

async function recordOf(taken: Target & Taken, deps: StageDeps, cancel: Cancel): Promise<Capture> {
  const { session, vm, name, job, snapshot, rung } = taken
  const state = await session.readSnapshot(snapshot, cancel)
  const after = await session.readVm(vm.moref, cancel)
  const entry = flattenSnapshots(after.snapshots).find((each) => each.moref === snapshot)
  if (entry === undefined || entry.name !== name) {
    throw new BackupError(`Cannot find snapshot "${name}" in the tree of VM "${vm.name}" right after it was made`, {
      code: 'snapshot-vanished',
      retry: 'later',
      hint: 'Somebody removed it at once; it is made again',
    })
  }
  const config = await session.captureConfig({ vm: vm.moref, snapshot }, cancel)
  const excluded = new Set(job.excludedDisks.map((disk) => disk.key))
  const claimsMore = rung.grade !== 'offline' && rung.grade !== 'crash' && !entry.quiesced
  const grade: GradeRecord = {
    requested: job.policy.consistency.want,
    reached: claimsMore ? 'crash' : rung.grade,
    quiesced: entry.quiesced,
    method: claimsMore ? 'none' : rung.method,
    freezeMs: 0,
    snapshotMs: taken.snapshotMs,
    fallbacks: claimsMore ? [...taken.fallbacks, 'The snapshot is not marked as quiesced'] : taken.fallbacks,
  }
  deps.log.info('snapshot.taken', { snapshot: name, grade: grade.reached, snapshotMs: taken.snapshotMs })
  return {
    snapshotName: name,
    snapshot,
    takenAt: entry.createdAt,
    powerState: vm.powerState,
    grade,
    config,
    disks: state.disks.filter((disk) => !excluded.has(disk.key) && !isExcluded(disk, job.policy)),
    excludedDisks: job.excludedDisks,
  }
}

function gradeNotReached(job: Job, grade: GradeRecord): NonNullable<Job['outcome']> {
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
