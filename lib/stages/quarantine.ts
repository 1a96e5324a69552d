// Points of a VM in quarantine: each that is written while it stands is marked as suspect, beside the point, once an alarm.

import type { Cancel } from '../base/time-limit.ts'
import { withNotices } from '../model/advance.ts'
import type { PointEntry } from '../model/point-entry.ts'
import { annotatePoint } from '../repository/annotations.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { vmHistoryOf } from './vm-history.ts'

const NOTICE = 'point-suspect'

/** For finish. What was frozen before the alarm and written after it counts as well: nobody knows when it began. */
export async function markSuspect(
  { hold, point }: { readonly hold: JobHold; readonly point: PointEntry },
  { deps, cancel }: { readonly deps: StageDeps; readonly cancel: Cancel },
): Promise<void> {
  const job = hold.job()
  const { quarantine } = await vmHistoryOf(job.vm, deps, cancel)
  if (quarantine === null || Date.parse(point.committedAt) < Date.parse(quarantine.since)) return
  const { alarmId, alarmName, since } = quarantine
  const reason = `VM "${job.vm.name}" is in quarantine since ${since}, for alarm "${alarmName}"`
  const repository = await deps.repository(cancel)
  const { random, clock } = deps
  const said = { kind: 'suspect', reason, alarm: alarmId } as const
  const added = await annotatePoint({ repository, point, said, random, clock }, cancel)
  deps.log.warn('point.suspect', { sequence: point.sequence, alarm: alarmId, added })
  if (job.notices.some(({ code }) => code === NOTICE)) return
  const notice = {
    code: NOTICE,
    message: `Restore point ${point.sequence} of VM "${job.vm.name}" is marked as suspect: ${reason}`,
    hint: 'Restore from a point before the alarm; "coldframe quarantine" lifts the quarantine once somebody has looked',
  }
  await hold.update((each) => withNotices(each, [notice]), cancel)
}
