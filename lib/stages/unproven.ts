// What follows from an audit that caught changed block tracking: a reset is due, and points that rest on it are marked. Noted
// before the point is published and done after it, again as often as a stage dies: each step finds what is done already.

import { isoTime } from '../base/clock.ts'
import { BackupError, hasCode } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { withNotices } from '../model/advance.ts'
import { type SessionId, sessionIdOf } from '../model/ids.ts'
import { matchDisks } from '../model/match-disks.ts'
import type { Notice } from '../model/outcome.ts'
import type { PointDisk } from '../model/point.ts'
import { withResetDue } from '../model/vm-history.ts'
import { annotatePoint } from '../repository/annotations.ts'
import { readCandidate } from '../repository/candidate.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import { readPoint } from '../repository/points.ts'
import type { Repository } from '../repository/repository.ts'
import { owe, settle } from './debts.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { rememberVm } from './vm-history.ts'

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/** For commit, once it has seen that what was read is what was frozen: else a difference says nothing of tracking. */
export async function noteTrackingFault(hold: JobHold, { deps, cancel }: Call): Promise<void> {
  const job = hold.job()
  const result = (await deps.jobStore.attempts.get(sessionIdOf(job.id, job.attempt), cancel))?.value.result ?? null
  const fault = result?.kind === 'sealed' ? result.trackingFault : null
  if (fault === null) return
  // The debt first: a reset makes the next backup read whole, which finds nothing that could be marked any more.
  if (fault.kind === 'lied') await owe(hold, { kind: 'annotation', attempt: job.attempt }, cancel)
  const due = { ...fault, at: isoTime(deps.clock.nowMs()) }
  await rememberVm(job.vm, (history) => withResetDue(history, due), { deps, cancel })
}

/** For finish. Says of the job what was marked, and that it could not be. */
export async function markUnproven(hold: JobHold, call: Call): Promise<void> {
  for (const debt of hold.job().owes) {
    if (debt.kind !== 'annotation') continue
    const notices = await markPoints(hold, sessionIdOf(hold.job().id, debt.attempt), call)
    await settle(hold, { debt, change: (job) => withNotices(job, notices) }, call.cancel)
  }
}

async function markPoints(hold: JobHold, sessionId: SessionId, { deps, cancel }: Call): Promise<readonly Notice[]> {
  const { vm } = hold.job()
  const repository = await deps.repository(cancel)
  const found = await readCandidate({ repository, sessionId }, cancel)
  // The session's papers may be swept some day; by then it has long been told.
  if (found === null) return [unmarked(vm.name, 'what the audit found is gone')]
  const lies = found.body.disks.filter(({ readModeCode }) => readModeCode === 'audit-mismatch')
  if (lies.length === 0) return []
  const { points, stopped } = await unprovenPoints({ repository, found, lies }, cancel)
  const { random, clock } = deps
  for (const { point, disks } of points) {
    const reason = disks.map(({ label, reason: why }) => `Disk "${label}": ${why}`).join('; ')
    const said = { kind: 'unproven', reason, diskKeys: disks.map(({ key }) => key), foundBy: sessionId } as const
    const added = await annotatePoint({ repository, point: point.envelope, said, random, clock }, cancel)
    deps.log.warn('point.unproven', { sequence: point.envelope.sequence, reason, added })
  }
  const sequences = points.map(({ point }) => point.envelope.sequence).toSorted((left, right) => left - right)
  const event = {
    id: `${sessionId}.audit`,
    type: 'coldframe.audit.mismatch',
    subject: hold.job().id,
    at: isoTime(deps.clock.nowMs()),
    data: {
      vm: vm.name,
      vmId: vm.vmId,
      sequence: found.envelope.sequence,
      disks: lies.map(({ label }) => label),
      reasons: lies.map(({ readModeReason }) => readModeReason ?? ''),
      unproven: sequences.map(String),
    },
  }
  await deps.events.publish(event, cancel)
  const notices = stopped === null ? [] : [unmarked(vm.name, stopped)]
  return sequences.length === 0 ? notices : [marked(vm.name, sequences, lies), ...notices]
}

type Marked = {
  readonly point: StoredPoint
  readonly disks: readonly { readonly key: number; readonly label: string; readonly reason: string }[]
}

/**
 * From the point that was compared with back to the last that is proven, by disk: one at which the disk was read whole, or audited
 * whole, is as right as its snapshot was. The oldest of them may lack changes, and so may all that follow.
 */
async function unprovenPoints(
  of: { readonly repository: Repository; readonly found: StoredPoint; readonly lies: readonly PointDisk[] },
  cancel: Cancel,
): Promise<{ readonly points: readonly Marked[]; readonly stopped: string | null }> {
  const { repository, found } = of
  const { vmId } = found.envelope
  const points: Marked[] = []
  let following = of.lies.map((disk) => ({ disk, reason: disk.readModeReason ?? '' }))
  let sequence = found.envelope.parentSequence
  while (sequence !== null && following.length > 0) {
    let point: StoredPoint
    try {
      point = await readPoint({ repository, ref: { vmId, sequence } }, cancel)
    } catch (error) {
      if (hasCode(error, 'point-missing')) return { points, stopped: null }
      if (!(error instanceof BackupError) || error.code !== 'integrity') throw error
      return { points, stopped: `restore point ${sequence} cannot be read: ${error.message}` }
    }
    const before = matchDisks(
      following.map(({ disk }) => ({ key: disk.key, uuid: disk.backingUuid })),
      point.body.disks,
    )
    following = following.flatMap(({ disk, reason }) => {
      const earlier = before.get(disk.key)
      return earlier === undefined || isProven(earlier) ? [] : [{ disk: earlier, reason }]
    })
    const disks = following.map(({ disk: { key, label }, reason }) => ({ key, label, reason }))
    if (disks.length > 0) points.push({ point, disks })
    sequence = point.envelope.parentSequence
  }
  return { points, stopped: null }
}

function isProven({ readMode, audit }: PointDisk): boolean {
  return readMode !== 'incremental' || (audit !== null && audit.slots === 1 && audit.mismatches === 0)
}

function marked(vmName: string, sequences: readonly number[], lies: readonly PointDisk[]): Notice {
  const [first, last] = [sequences[0], sequences.at(-1)]
  const which = sequences.length === 1 ? `Restore point ${first}` : `Restore points ${first} to ${last}`
  const labels = lies.map(({ label }) => `"${label}"`).join(', ')
  return {
    code: 'points-unproven',
    message: `${which} of VM "${vmName}" ${sequences.length === 1 ? 'is' : 'are'} marked as unproven: changes of ${labels} may be missing`,
    hint: 'Prefer the newest point, or one from before them; "coldframe points" tells them apart',
  }
}

function unmarked(vmName: string, why: string): Notice {
  return {
    code: 'points-unmarked',
    message: `Earlier restore points of VM "${vmName}" rest on changed block tracking that left out changes, and could not be marked: ${why}`,
    hint: 'Prefer the newest point, or one that was read whole',
  }
}
