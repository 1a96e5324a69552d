// finish: cleans up in the guest and tells the world how the job ended. Roll-ups of a run are asked of its jobs, never counted up here.

import { isoTime } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import { withNotices } from '../model/advance.ts'
import { sessionIdOf } from '../model/ids.ts'
import type { Attempt, Job } from '../model/job.ts'
import type { Notice } from '../model/outcome.ts'
import { type PointEntry, pointEntryOf } from '../model/point-entry.ts'
import { costOf } from '../model/prices.ts'
import { addUsage } from '../model/usage.ts'
import { withFailure, withSuccess } from '../model/vm-history.ts'
import type { StageDeps } from './deps.ts'
import { forgetGuest, leaveGuest } from './guest/leave-guest.ts'
import type { JobHold } from './hold.ts'
import { tasksUsage } from './job-usage.ts'
import { notifyFailure } from './notify.ts'
import { giveBackPlaces } from './places.ts'
import { markSuspect } from './quarantine.ts'
import { movedBy, type Step } from './step.ts'
import { markUnproven } from './unproven.ts'
import { rememberVm } from './vm-history.ts'

export async function finish(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Step> {
  const cleaned = await cleanGuest(hold, deps, cancel)
  if ('kind' in cleaned) return cleaned
  // What follows may fail and be tried again: the guest has told what it had to tell.
  const { notices } = cleaned
  if (notices.length > 0) await hold.update((job) => withNotices(job, notices), cancel)
  await markUnproven(hold, { deps, cancel })
  const attempts = await attemptsOf(hold.job(), deps, cancel)
  const point = pointOf(hold.job(), attempts)
  if (point !== null) {
    await markSuspect({ hold, point }, { deps, cancel })
    // So that those who have no key to the repository can name the point.
    await deps.jobStore.points.create(point.pointId, point, cancel)
  }
  // What release had to leave behind keeps nobody else waiting.
  await giveBackPlaces(hold, deps, cancel)
  await noteEnd(hold.job(), { deps, cancel })
  const tasks = tasksUsage(attempts)
  const job = await hold.update((each) => ({ ...each, usage: { ...each.usage, tasks } }), cancel)
  const at = isoTime(deps.clock.nowMs())
  const outcome = job.outcome?.kind ?? 'failed'
  await deps.events.publish(
    {
      id: `${job.id}.done`,
      type: 'coldframe.job.done',
      subject: job.id,
      at,
      data: {
        run: job.runId,
        policy: job.policy.name,
        vm: job.vm.name,
        vmId: job.vm.vmId,
        outcome,
        code: job.outcome?.code ?? '',
        point: job.pointId,
        ...job.counts,
        grade: job.pointId === null ? null : (job.capture?.grade.reached ?? null),
        costUsd: costOf(addUsage(job.usage.stages, tasks), deps.prices).total,
      },
    },
    cancel,
  )
  await notifyFailure(job, deps, cancel)
  deps.metrics.count('job.done', 1, { outcome })
  deps.log.info('job.done', {
    outcome,
    code: job.outcome?.code ?? '',
    message: job.outcome?.message ?? '',
    ...job.counts,
  })
  return movedBy({ kind: 'finished', at, notices: [] })
}

function pointOf(job: Job, attempts: readonly Attempt[]): PointEntry | null {
  return pointEntryOf(job, attempts.find(({ attempt }) => attempt === job.attempt) ?? null)
}

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/** Those that a mover has begun. */
async function attemptsOf(job: Job, { jobStore }: StageDeps, cancel: Cancel): Promise<readonly Attempt[]> {
  const attempts: Attempt[] = []
  for (let attempt = 1; attempt <= job.attempt; attempt++) {
    const found = await jobStore.attempts.get(sessionIdOf(job.id, attempt), cancel)
    if (found !== null) attempts.push(found.value)
  }
  return attempts
}

/** What an RPO is measured by. */
async function noteEnd({ vm, capture, pointId, times, outcome }: Job, call: Call): Promise<void> {
  const { committedAt, capturedAt } = times
  if (committedAt === null || capture === null || pointId === null) {
    // The time of its release is the same in every try of this stage.
    const at = times.releasedAt ?? times.createdAt
    if (outcome?.kind === 'failed') await rememberVm(vm, (history) => withFailure(history, at), call)
    return
  }
  const startedMs = Date.parse(times.startedAt ?? times.createdAt)
  const tookMs = Math.max(0, Date.parse(committedAt) - startedMs)
  const success = { at: capturedAt ?? capture.takenAt, pointId, grade: capture.grade.reached, tookMs }
  await rememberVm(vm, (history) => withSuccess(history, success), call)
}

/** A guest that does not answer is tried again for cleanupMs; what is left there then is said. */
async function cleanGuest(
  hold: JobHold,
  deps: StageDeps,
  cancel: Cancel,
): Promise<{ readonly notices: readonly Notice[] } | Step> {
  const left = await leaveGuest(hold, { deps, cancel })
  if (left.kind === 'left') return { notices: [] }
  const job = hold.job()
  const nowMs = deps.clock.nowMs()
  const waitsFor = `the guest, to clean up in it: ${left.reason}`
  // Until its own timer must have thawed it, the guest is not given up.
  const mayBeFrozen = job.freezeDeadlineMs !== null && nowMs <= job.freezeDeadlineMs + deps.limits.thawCallMs
  if (mayBeFrozen || nowMs - (job.waitSinceMs ?? nowMs) < deps.limits.cleanupMs)
    return { kind: 'again', delayMs: deps.limits.pollMs, waitsFor }
  const { freezeDeadlineMs } = job
  await forgetGuest(hold, cancel)
  const notices = [leftInGuest(job, left.reason)]
  if (freezeDeadlineMs !== null) notices.push(neverAsked(job))
  if (owesPostCommit(job)) notices.push(neverRun(job))
  return { notices }
}

function leftInGuest({ vm, guest }: Job, reason: string): Notice {
  const windows = guest?.workspace?.family === 'windows'
  return {
    code: 'guest-left-behind',
    message: `Scripts of ours may still lie in guest "${vm.name}": ${reason}`,
    hint: windows
      ? 'Directories "coldframe-…" in %ProgramData%\\Coldframe are ours and may be removed'
      : 'They are gone with its next start; directories "coldframe-…" below /run and /dev/shm are ours',
  }
}

function owesPostCommit({ guest, times }: Job): boolean {
  const scripts = guest?.workspace?.scripts ?? []
  return times.committedAt !== null && scripts.includes('post-commit') && guest?.postCommit === 'not-run'
}

function neverRun({ vm }: Job): Notice {
  return {
    code: 'post-commit-failed',
    message: `The post-commit script of "${vm.name}" did not run: the guest could not be reached`,
    hint: 'Logs that it should have truncated are still there',
  }
}

function neverAsked({ vm, freezeDeadlineMs }: Job): Notice {
  const at = isoTime(freezeDeadlineMs ?? 0)
  return {
    code: 'thaw-unconfirmed',
    message: `Guest "${vm.name}" could not be asked whether it is thawed; its own timer was set to thaw it by ${at}`,
    hint: 'Look whether its application runs as it should',
  }
}
