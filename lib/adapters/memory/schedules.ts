// Schedules kept in memory, which start nothing: for tests, and where there is no scheduler. They refuse what the one of AWS refuses.

import { isDeepStrictEqual } from 'node:util'
import type { PolicyName } from '../../model/ids.ts'
import { type SchedulerForm, scheduleRefused, schedulerFormOf } from '../../model/scheduler-form.ts'
import type { Schedule, Schedules } from '../../ports/schedules.ts'

export type MemorySchedules = Schedules & { readonly kept: Map<PolicyName, Schedule> }

export function memorySchedules(): MemorySchedules {
  const kept = new Map<PolicyName, Schedule>()
  const forms = new Map<PolicyName, SchedulerForm>()
  return {
    kept,
    async put(schedule, { signal }) {
      signal.throwIfAborted()
      const form = schedulerFormOf(schedule)
      if ('fault' in form) throw scheduleRefused(schedule.policy, form.fault)
      const before = kept.has(schedule.policy) ? forms.get(schedule.policy) : undefined
      kept.set(schedule.policy, schedule)
      forms.set(schedule.policy, form)
      if (before === undefined) return 'created'
      return isDeepStrictEqual(before, form) ? 'same' : 'changed'
    },
    async remove(policy, { signal }) {
      signal.throwIfAborted()
      forms.delete(policy)
      return kept.delete(policy) ? 'removed' : 'none'
    },
    async list({ signal }) {
      signal.throwIfAborted()
      return [...kept.keys()]
    },
  }
}
