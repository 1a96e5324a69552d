// watch: sends again what was lost, each minute (each second on one machine). It never does a stage's work.

import type { Cancel } from '../base/time-limit.ts'
import type { StageDeps } from './deps.ts'
import { planAgainIfOverdue, sendAgainIfOverdue } from './send.ts'

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
  for (const { id, state, wakeAtMs } of await deps.jobStore.recentRuns({ limit: RUNS_MAX }, cancel)) {
    if (state === 'requested' && (wakeAtMs ?? 0) <= nowMs && (await planAgainIfOverdue(id, deps, cancel))) sent++
  }
  return sent
}
