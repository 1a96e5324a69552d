// watch: sends again what was lost, each minute (each second on one machine), thaws guests whose time is over, and tells
// missed RPOs. It never does a stage's work.

import { messageOf } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import { alarmAgainIfOverdue } from './alarm.ts'
import type { StageDeps } from './deps.ts'
import { thawJob } from './guest/thaw-job.ts'
import { resendOperations } from './operation-record.ts'
import { planAgainIfOverdue, sendAgainIfOverdue } from './send.ts'
import { watchRpo } from './watch-rpo.ts'

const JOBS_MAX = 100
const RUNS_MAX = 100
const ALARMS_MAX = 100
/** How many guests one watch thaws side by side. */
const THAWS_MAX = 20

/** All parts, guests first and beside the rest. @returns how many messages were sent again */
export async function watch(deps: StageDeps, cancel: Cancel): Promise<number> {
  const thaws = thawKeeper(deps)
  try {
    await thaws.look(cancel)
    const sent = await resend(deps, cancel)
    await watchRpo(deps, cancel)
    return sent
  } finally {
    await thaws.over()
  }
}

/** @returns how many messages were sent again */
export async function resend(deps: StageDeps, cancel: Cancel): Promise<number> {
  const nowMs = deps.clock.nowMs()
  let sent = 0
  for (const found of await deps.jobStore.dueJobs({ beforeMs: nowMs, limit: JOBS_MAX }, cancel)) {
    const { claim } = found.value
    if (claim !== null && deps.isClaimLive(claim, nowMs)) continue
    if (await sendAgainIfOverdue(found, deps, cancel)) sent++
  }
  for (const found of await deps.jobStore.dueRuns({ beforeMs: nowMs, limit: RUNS_MAX }, cancel)) {
    if (await planAgainIfOverdue(found, deps, cancel)) sent++
  }
  for (const found of await deps.jobStore.dueAlarms({ beforeMs: nowMs, limit: ALARMS_MAX }, cancel)) {
    if (await alarmAgainIfOverdue(found, deps, cancel)) sent++
  }
  return sent + (await resendOperations(deps, cancel))
}

/** Thaws that run beside everything else: a guest that does not answer takes its time, and nobody waits for it. */
export type ThawKeeper = {
  /** Begins to thaw each guest whose deadline has passed and that is not being thawed already. */
  look(cancel: Cancel): Promise<void>
  /** Waits for those that run; never throws. */
  over(): Promise<void>
}

export function thawKeeper(deps: StageDeps): ThawKeeper {
  const running = new Map<string, Promise<void>>()
  return {
    look: async (cancel) => {
      const nowMs = deps.clock.nowMs()
      for (const { value: job } of await deps.jobStore.dueJobs({ beforeMs: nowMs, limit: JOBS_MAX }, cancel)) {
        const isOverdue = job.freezeDeadlineMs !== null && job.freezeDeadlineMs <= nowMs
        if (!isOverdue || running.has(job.id) || running.size >= THAWS_MAX) continue
        running.set(
          job.id,
          thawOne(job, deps, cancel).finally(() => running.delete(job.id)),
        )
      }
    },
    over: async () => {
      await Promise.all(running.values())
    },
  }
}

/** Whoever holds the job may thaw as well, or be dead: the guest's wrapper takes effect once. Never throws. */
async function thawOne(job: Job, deps: StageDeps, cancel: Cancel): Promise<void> {
  const { id, vm, freezeDeadlineMs, freezes } = job
  deps.log.warn('freeze.overdue', { job: id, vm: vm.name, lateMs: deps.clock.nowMs() - (freezeDeadlineMs ?? 0) })
  try {
    if (!(await thawJob({ job, by: 'watch' }, deps, cancel))) return
    const found = await deps.jobStore.jobs.get(id, cancel)
    // A later freeze of the same job is another matter.
    if (found === null || found.value.freezes !== freezes || found.value.freezeDeadlineMs === null) return
    const value = { ...found.value, freezeDeadlineMs: null }
    await deps.jobStore.jobs.replace(id, { value, version: found.version }, cancel)
  } catch (error) {
    // It is still due: the next look tries again.
    deps.log.warn('freeze.thaw-not-noted', { job: id, message: messageOf(error) })
  }
}
