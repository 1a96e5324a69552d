// The on-demand door: writes the run, then wakes plan. The same key gives the same run.

import { type Clock, isoTime } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type RunId, runIdOf } from '../model/ids.ts'
import type { Policy } from '../model/policy.ts'
import type { Door, Run } from '../model/run.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { MessageSender } from '../ports/queue.ts'

/** After this long without a plan the message counts as lost, and watch sends another. */
const PLAN_OVERDUE_MS = 60_000

export type RunRequest = {
  readonly door: Door
  readonly policy: Policy
  /** Names, references or instance uuids; null: the policy's selection. */
  readonly vms: readonly string[] | null
  /** True: everything is read and stored anew, continuing no earlier point. */
  readonly full?: boolean
  /** Who asks, in the words of the door. */
  readonly requestedBy?: string
  /** When a schedule meant it to start: ISO 8601, UTC. */
  readonly scheduledAt?: string
  /** Idempotency key: scheduled time, event id, or whatever the caller repeats. */
  readonly key: string
}

export async function requestRun(
  request: RunRequest,
  deps: { readonly clock: Clock; readonly jobStore: JobStore; readonly sender: MessageSender },
  cancel: Cancel,
): Promise<RunId> {
  const nowMs = deps.clock.nowMs()
  const id = runIdOf({ policy: request.policy.name, key: request.key })
  const run: Run = {
    id,
    door: request.door,
    policy: request.policy,
    vms: request.vms,
    full: request.full === true,
    requestedAt: isoTime(nowMs),
    requestedBy: request.requestedBy ?? null,
    cancelRequestedAt: null,
    scheduledAt: request.scheduledAt ?? null,
    state: 'requested',
    wakeAtMs: nowMs + PLAN_OVERDUE_MS,
    jobIds: [],
    refusal: null,
    leftOut: [],
  }
  await deps.jobStore.runs.create(id, run, cancel)
  await deps.sender.send({ v: 1, kind: 'plan', runId: id }, { delayMs: 0 }, cancel)
  return id
}
