// A run as a door asks for it, before it is planned. Pure.

import { isoTime } from '../base/clock.ts'
import { type RunId, runIdOf } from './ids.ts'
import type { Policy } from './policy.ts'
import type { Door, Run } from './run.ts'

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
  /** Left out: it follows from policy and key. */
  readonly id?: RunId
}

/** @param times.overdueMs after this long without a plan the message counts as lost */
export function newRun(request: RunRequest, times: { readonly nowMs: number; readonly overdueMs: number }): Run {
  return {
    id: request.id ?? runIdOf({ policy: request.policy.name, key: request.key }),
    door: request.door,
    policy: request.policy,
    vms: request.vms,
    full: request.full === true,
    requestedAt: isoTime(times.nowMs),
    requestedBy: request.requestedBy ?? null,
    cancelRequestedAt: null,
    scheduledAt: request.scheduledAt ?? null,
    state: 'requested',
    wakeAtMs: times.nowMs + times.overdueMs,
    jobIds: [],
    refusal: null,
    leftOut: [],
  }
}
