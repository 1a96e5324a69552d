// Schedules that start policies: kept by a scheduler that costs nothing while idle. No code.

import type { Cancel } from '../base/time-limit.ts'
import type { PolicyName } from '../model/ids.ts'

export type Schedule = {
  readonly policy: PolicyName
  readonly when: /** Five fields, as in a policy. */
  { readonly kind: 'cron'; readonly fields: string } | { readonly kind: 'rate'; readonly everyMs: number }
  /** Of the tz database; cron fields are read in it. */
  readonly timeZone: string
  /** Each start comes at its time or at most so much later. */
  readonly jitterMs: number
}

/** Each time, the door `schedule` is told the policy's name and the scheduled time. At least once. */
export interface Schedules {
  /** Makes it, or changes it to be so. @throws BackupError `schedule-refused` when the scheduler cannot express it */
  put(schedule: Schedule, cancel: Cancel): Promise<'created' | 'changed' | 'same'>
  /** One that is absent is no error. */
  remove(policy: PolicyName, cancel: Cancel): Promise<'removed' | 'none'>
  /** The policies that it starts; schedules of others are not among them. */
  list(cancel: Cancel): Promise<readonly PolicyName[]>
}
