// watch: sends again what was lost, each minute (each second on one machine). It never does a stage's work.

import type { Cancel } from '../base/time-limit.ts'
import type { StageDeps } from './deps.ts'
import { sendNext, withWake } from './send.ts'

const JOBS_MAX = 100
const RUNS_MAX = 100

/** @returns how many messages were sent again */
export async function watch(deps: StageDeps, cancel: Cancel): Promise<number> {
  const nowMs = deps.clock.nowMs()
  let sent = 0
  for (const { value: job, version } of await deps.jobStore.dueJobs({ beforeMs: nowMs, limit: JOBS_MAX }, cancel)) {
    if (job.claim !== null && deps.isClaimLive(job.claim, nowMs)) continue
    // The write keeps the next round of watch from sending the same again at once; whoever loses the race does nothing.
    const value = withWake(job, deps, 0)
    if ((await deps.jobStore.jobs.replace(job.id, { value, version }, cancel)) === 'conflict') continue
    deps.log.warn('job.overdue', {
      job: job.id,
      state: job.state,
      stage: job.nextStage ?? '',
      lateMs: nowMs - (job.wakeAtMs ?? nowMs),
    })
    await sendNext(value, deps, { delayMs: 0, ...cancel })
    sent++
  }
  for (const run of await deps.jobStore.recentRuns({ limit: RUNS_MAX }, cancel)) {
    if (run.state !== 'requested' || nowMs - Date.parse(run.requestedAt) < deps.limits.overdueMs) continue
    await deps.sender.send({ v: 1, kind: 'plan', runId: run.id }, { delayMs: 0 }, cancel)
    sent++
  }
  return sent
}
