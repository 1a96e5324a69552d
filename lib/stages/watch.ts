// watch: sends again what was lost, each minute (each second on one machine). It never does a stage's work.

import type { Cancel } from '../base/time-limit.ts'
import type { StageDeps } from './deps.ts'
import { sendAgainIfOverdue } from './send.ts'

const JOBS_MAX = 100
const RUNS_MAX = 100

/** @returns how many messages were sent again */
export async function watch(deps: StageDeps, cancel: Cancel): Promise<number> {
  const nowMs = deps.clock.nowMs()
  let sent = 0
  for (const found of await deps.jobStore.dueJobs({ beforeMs: nowMs, limit: JOBS_MAX }, cancel)) {
    const { claim } = found.value
    if (claim !== null && deps.isClaimLive(claim, nowMs)) continue
    if (await sendAgainIfOverdue(found, deps, cancel)) sent++
  }
  for (const run of await deps.jobStore.recentRuns({ limit: RUNS_MAX }, cancel)) {
    if (run.state !== 'requested' || nowMs - Date.parse(run.requestedAt) < deps.limits.overdueMs) continue
    await deps.sender.send({ v: 1, kind: 'plan', runId: run.id }, { delayMs: 0 }, cancel)
    sent++
  }
  return sent
}
