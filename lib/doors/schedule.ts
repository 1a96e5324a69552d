// The door that schedules knock at: one start of a policy at its time. At least once, late, and of policies that are gone.

import { type Clock, isoTime } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { PolicyName, RunId } from '../model/ids.ts'
import type { StoredPolicy } from '../model/stored-policy.ts'
import { isWindowOpen } from '../model/window.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { Log, Metrics } from '../ports/log.ts'
import type { MessageSender } from '../ports/queue.ts'
import { requestRun } from './request-run.ts'

export type ScheduledStart = {
  readonly policy: PolicyName
  /** When the scheduler meant it to start: ISO 8601, UTC. The same time is the same run. */
  readonly scheduledAt: string
}

export type StartAnswer =
  | { readonly kind: 'started'; readonly runId: RunId }
  | {
      readonly kind: 'not-started'
      readonly code: 'policy-unknown' | 'policy-removed' | 'not-scheduled' | 'outside-window'
      readonly message: string
    }

export type ScheduleDeps = {
  readonly clock: Clock
  readonly jobStore: JobStore
  readonly sender: MessageSender
  readonly log: Log
  readonly metrics: Metrics
}

/** What is not started is no error: asking again would not change it. It is logged, and counted as `schedule.not-started`. */
export async function startScheduled(start: ScheduledStart, deps: ScheduleDeps, cancel: Cancel): Promise<StartAnswer> {
  const { clock, jobStore, log, metrics } = deps
  const stored = (await jobStore.policies.get(start.policy, cancel))?.value ?? null
  const refusal = whyNot(start, stored, clock.nowMs())
  if (stored === null || refusal !== null) {
    const answer = refusal ?? unknownPolicy(start)
    metrics.count('schedule.not-started', 1, { code: answer.code })
    log.warn('schedule.not-started', { ...start, code: answer.code, message: answer.message })
    return answer
  }
  // Of one time however it is written.
  const scheduledAt = isoTime(Date.parse(start.scheduledAt))
  const { policy } = stored
  const request = { door: 'schedule', policy, vms: null, key: `schedule ${scheduledAt}`, scheduledAt } as const
  const runId = await requestRun(request, deps, cancel)
  const lateMs = clock.nowMs() - Date.parse(scheduledAt)
  metrics.count('schedule.started', 1)
  log.info('schedule.started', { policy: start.policy, scheduledAt, run: runId, lateMs })
  return { kind: 'started', runId }
}

function whyNot(start: ScheduledStart, stored: StoredPolicy | null, nowMs: number): Refusal | null {
  if (stored === null) return unknownPolicy(start)
  const name = `Policy "${start.policy}"`
  if (stored.state === 'removed') return refusal('policy-removed', `${name} was removed: its schedule starts nothing`)
  const { schedule } = stored.policy
  if (schedule === null) return refusal('not-scheduled', `${name} has no schedule any more`)
  if (isWindowOpen(stored.policy, nowMs)) return null
  const message = `${name} was to start at ${start.scheduledAt}; now its window is closed (until ${schedule.windowClose}, ${schedule.timeZone})`
  return refusal('outside-window', message)
}

type Refusal = Extract<StartAnswer, { kind: 'not-started' }>

function unknownPolicy({ policy }: ScheduledStart): Refusal {
  return refusal('policy-unknown', `There is no policy "${policy}": something else made this schedule`)
}

function refusal(code: Refusal['code'], message: string): Refusal {
  return { kind: 'not-started', code, message }
}
