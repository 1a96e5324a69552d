// watch: sends again what was lost, each minute (each second on one machine), and thaws guests whose time is over. It never
// does a stage's work.

import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import type { Versioned } from '../ports/job-store.ts'
import type { StageDeps } from './deps.ts'
import { thawJob } from './guest/thaw-job.ts'
import { planAgainIfOverdue, sendAgainIfOverdue, withWake } from './send.ts'

const JOBS_MAX = 100
const RUNS_MAX = 100
/** How many guests are thawed side by side. */
const THAWS_MAX = 20

/** @returns how many messages were sent again */
export async function watch(deps: StageDeps, cancel: Cancel): Promise<number> {
  const nowMs = deps.clock.nowMs()
  let sent = 0
  const due = await deps.jobStore.dueJobs({ beforeMs: nowMs, limit: JOBS_MAX }, cancel)
  // Guests first, and beside the rest: they cannot wait.
  const thawing = thawOverdue(
    due.filter(({ value }) => value.freezeDeadlineMs !== null && value.freezeDeadlineMs <= nowMs),
    deps,
    cancel,
  )
  for (const found of due) {
    const { claim } = found.value
    if (claim !== null && deps.isClaimLive(claim, nowMs)) continue
    if (await sendAgainIfOverdue(found, deps, cancel)) sent++
  }
  for (const { id, state, wakeAtMs } of await deps.jobStore.recentRuns({ limit: RUNS_MAX }, cancel)) {
    if (state === 'requested' && (wakeAtMs ?? 0) <= nowMs && (await planAgainIfOverdue(id, deps, cancel))) sent++
  }
  await thawing
  return sent
}

/** Whoever holds the job may thaw as well, or be dead: the guest's wrapper takes effect once. */
async function thawOverdue(overdue: readonly Versioned<Job>[], deps: StageDeps, cancel: Cancel): Promise<void> {
  await Promise.all(overdue.slice(0, THAWS_MAX).map((found) => thawOne(found, deps, cancel)))
}

async function thawOne({ value: job }: Versioned<Job>, deps: StageDeps, cancel: Cancel): Promise<void> {
  deps.log.warn('freeze.overdue', {
    job: job.id,
    vm: job.vm.name,
    lateMs: deps.clock.nowMs() - (job.freezeDeadlineMs ?? 0),
  })
  if (!(await thawJob({ job, by: 'watch' }, deps, cancel))) return
  const found = await deps.jobStore.jobs.get(job.id, cancel)
  // A later freeze of the same job is another matter.
  if (found === null || found.value.freezes !== job.freezes || found.value.freezeDeadlineMs === null) return
  const value = withWake({ ...found.value, freezeDeadlineMs: null }, deps, 0)
  await deps.jobStore.jobs.replace(job.id, { value, version: found.version }, cancel)
}
