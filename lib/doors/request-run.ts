// The on-demand door: writes the run, then wakes plan. The same key gives the same run.

import type { Clock } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { RunId } from '../model/ids.ts'
import { newRun, type RunRequest } from '../model/new-run.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { MessageSender } from '../ports/queue.ts'

/** After this long without a plan the message counts as lost, and watch sends another. */
const PLAN_OVERDUE_MS = 60_000

export async function requestRun(
  request: RunRequest,
  deps: { readonly clock: Clock; readonly jobStore: JobStore; readonly sender: MessageSender },
  cancel: Cancel,
): Promise<RunId> {
  const run = newRun(request, { nowMs: deps.clock.nowMs(), overdueMs: PLAN_OVERDUE_MS })
  await deps.jobStore.runs.create(run.id, run, cancel)
  await deps.sender.send({ v: 1, kind: 'plan', runId: run.id }, { delayMs: 0 }, cancel)
  return run.id
}
