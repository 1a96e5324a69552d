// The scheduler of one machine: starts the policies whose time has come. Called again and again by the daemon.

import type { KeptSchedule, LocalSchedules } from '../adapters/local/schedules.ts'
import { isoTime } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type ScheduleDeps, type StartAnswer, startScheduled } from '../doors/schedule.ts'
import { dueStart } from '../model/due-start.ts'
import type { PolicyName } from '../model/ids.ts'

export type StartedNow = {
  readonly policy: PolicyName
  /** The time that it was meant for: ISO 8601, UTC. */
  readonly scheduledAt: string
  readonly lateMs: number
  /** Earlier times that nobody was there for, and that are not started any more. */
  readonly missed: number
  readonly answer: StartAnswer
}

export type StartDueDeps = ScheduleDeps & { readonly schedules: LocalSchedules }

/**
 * The run is made before its time is noted as done: whoever dies in between makes the same run again, which is one run. One policy that
 * cannot be started keeps no other waiting, and is tried again with the next call.
 */
export async function startDue(deps: StartDueDeps, cancel: Cancel): Promise<readonly StartedNow[]> {
  const started: StartedNow[] = []
  for (const kept of await deps.schedules.kept(cancel)) {
    try {
      const one = await startOne(kept, deps, cancel)
      if (one !== null) started.push(one)
    } catch (error) {
      if (cancel.signal.aborted) throw error
      deps.log.error('schedule.failed', error, { policy: kept.schedule.policy })
    }
  }
  return started
}

async function startOne(
  { schedule, times }: KeptSchedule,
  deps: StartDueDeps,
  cancel: Cancel,
): Promise<StartedNow | null> {
  const { policy } = schedule
  const nowMs = deps.clock.nowMs()
  const due = dueStart(schedule, times, nowMs)
  if (due === null) return null
  const scheduledAt = isoTime(due.atMs)
  if (due.missed > 0) deps.log.warn('schedule.missed', { policy, scheduledAt, missed: due.missed })
  const answer = await startScheduled({ policy, scheduledAt }, deps, cancel)
  await deps.schedules.done(policy, due.atMs, cancel)
  return { policy, scheduledAt, lateMs: nowMs - due.atMs, missed: due.missed, answer }
}
