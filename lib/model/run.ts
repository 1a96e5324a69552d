// A run: one start of a policy, by a schedule, a request or an alarm. Its result is asked of its jobs, never counted up.

import type { JobId, RunId } from './ids.ts'
import type { Outcome } from './outcome.ts'
import type { Policy } from './policy.ts'

export type Door = 'schedule' | 'api' | 'alarm'

/** VMs that a policy selects and a run leaves out, and why. */
export type LeftOut = {
  /** "coalesced": a job of the same policy still works on them; "not-due": their newest point is young enough. */
  readonly code: string
  readonly message: string
  readonly count: number
  /** The first of them by name, LEFT_OUT_NAMES_MAX at most. */
  readonly names: readonly string[]
}

export const LEFT_OUT_NAMES_MAX = 20

export type Run = {
  readonly id: RunId
  readonly door: Door
  readonly policy: Policy
  /** Names or morefs that an on-demand request named; null: the policy's selection. */
  readonly vms: readonly string[] | null
  /** Whether everything is read and stored anew, continuing no earlier point. */
  readonly full: boolean
  readonly requestedAt: string
  /** Who asked, in the words of the door; null where nobody is known by name. */
  readonly requestedBy: string | null
  /** Since when nothing more is wanted of it; null: it is wanted. */
  readonly cancelRequestedAt: string | null
  /** When the schedule meant it to start: ISO 8601, UTC; null for runs that something else started. */
  readonly scheduledAt: string | null
  readonly state: 'requested' | 'planned' | 'refused'
  /** When its plan message counts as lost; null once it is planned or refused. */
  readonly wakeAtMs: number | null
  /** Named by plan before it makes them, in the inventory's order; once it is planned, those that were made. */
  readonly jobIds: readonly JobId[]
  /** Why nothing was planned; null unless refused. */
  readonly refusal: Outcome | null
  /** Fixed by plan. */
  readonly leftOut: readonly LeftOut[]
}

/** When watch must look at a run; null once it is planned or refused. */
export function runDueAtMs({ state, wakeAtMs }: Pick<Run, 'state' | 'wakeAtMs'>): number | null {
  return state === 'requested' ? (wakeAtMs ?? 0) : null
}
