// Schedules of one machine, in its state: kept here, started by the daemon.

import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../../base/clock.ts'
import { assert } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { KeptTimes } from '../../model/due-start.ts'
import { type PolicyName, parsePolicyName } from '../../model/ids.ts'
import { scheduleRefused, schedulerFormOf } from '../../model/scheduler-form.ts'
import type { Schedule, Schedules } from '../../ports/schedules.ts'
import { scheduleRecord } from '../../wire/schedule-record.ts'
import type { State } from './state.ts'

export type KeptSchedule = { readonly schedule: Schedule; readonly times: KeptTimes }

export type LocalSchedules = Schedules & {
  /** Every schedule with what of it is done. */
  kept(cancel: Cancel): Promise<readonly KeptSchedule[]>
  /** Times up to this one are done with; never takes that back. */
  done(policy: PolicyName, atMs: number, cancel: Cancel): Promise<void>
}

/**
 * Refuses what EventBridge Scheduler refuses, so that a policy means the same on both. A rate starts at once and then after each interval,
 * as there; a change begins anew.
 */
export function sqliteSchedules(state: State, { clock }: { readonly clock: Clock }): LocalSchedules {
  return {
    async put(schedule, { signal }) {
      signal.throwIfAborted()
      const form = schedulerFormOf(schedule)
      if ('fault' in form) throw scheduleRefused(schedule.policy, form.fault)
      const nowMs = clock.nowMs()
      // The present moment is still to come for a rate, and over for a cron.
      const doneMs = schedule.when.kind === 'rate' ? nowMs - 1 : nowMs
      return state.write((sql) => {
        const [row] = sql('SELECT body FROM schedules WHERE policy = ?').all(schedule.policy)
        const before = row === undefined ? null : scheduleRecord.parse(textOf(row['body']))
        if (before !== null && isDeepStrictEqual(schedulerFormOf(before), form)) return 'same'
        sql(
          `INSERT INTO schedules (policy, body, anchor_ms, done_ms) VALUES (?, ?, ?, ?)
           ON CONFLICT (policy) DO UPDATE SET body = excluded.body, anchor_ms = excluded.anchor_ms, done_ms = excluded.done_ms`,
        ).run(schedule.policy, scheduleRecord.encode(schedule), nowMs, doneMs)
        return before === null ? 'created' : 'changed'
      })
    },
    async remove(policy, { signal }) {
      signal.throwIfAborted()
      const { changes } = state.write((sql) => sql('DELETE FROM schedules WHERE policy = ?').run(policy))
      return Number(changes) === 1 ? 'removed' : 'none'
    },
    async list({ signal }) {
      signal.throwIfAborted()
      const rows = state.read((sql) => sql('SELECT policy FROM schedules ORDER BY policy').all())
      return rows.map((row) => parsePolicyName(textOf(row['policy'])))
    },
    async kept({ signal }) {
      signal.throwIfAborted()
      const rows = state.read((sql) => sql('SELECT body, anchor_ms, done_ms FROM schedules ORDER BY policy').all())
      return rows.map((row) => ({
        schedule: scheduleRecord.parse(textOf(row['body'])),
        times: { anchorMs: Number(row['anchor_ms']), doneMs: Number(row['done_ms']) },
      }))
    },
    async done(policy, atMs, { signal }) {
      signal.throwIfAborted()
      state.write((sql) => sql('UPDATE schedules SET done_ms = max(done_ms, ?) WHERE policy = ?').run(atMs, policy))
    },
  }
}

function textOf(cell: unknown): string {
  assert(typeof cell === 'string', 'a schedule row has text')
  return cell
}
