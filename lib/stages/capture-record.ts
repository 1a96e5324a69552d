// What capture froze, read back from vCenter: complete, or an error that has it made anew.

import { isoTime } from '../base/clock.ts'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { GradeRecord } from '../model/grade.ts'
import type { Moref } from '../model/ids.ts'
import type { Capture, Job } from '../model/job.ts'
import { isExcluded } from '../model/preflight.ts'
import { flattenSnapshots, type SnapshotState, type VmSnapshot, type VmState } from '../model/vm.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import type { Rung } from './ladder.ts'
import { snapshotsOfJob } from './snapshots.ts'

/** Where the snapshot goes: the VM as it was just before. */
export type Target = {
  readonly session: VsphereSession
  readonly vm: VmState
  readonly name: string
  readonly job: Job
}

export type Taken = {
  readonly snapshot: Moref
  readonly rung: Rung
  readonly snapshotMs: number
  readonly fallbacks: readonly string[]
}

/** @throws BackupError `snapshot-vanished`, `snapshot-doubled`, `snapshot-time`, `disk-missing`: all pass when the snapshot is made anew */
export async function recordOf(target: Target, taken: Taken, cancel: Cancel): Promise<Capture> {
  const { session, vm, name, job } = target
  const { snapshot } = taken
  const state = await session.readSnapshot(snapshot, cancel)
  const after = await session.readVm(vm.moref, cancel)
  const entry = entryOf(target, snapshot, after)
  checkDisks(target, state, after)
  const config = await session.captureConfig({ vm: vm.moref, snapshot }, cancel)
  return {
    snapshotName: name,
    snapshot,
    takenAt: takenAtOf(entry),
    powerState: vm.powerState,
    grade: gradeOf(job, taken, entry),
    config,
    disks: state.disks.filter((disk) => !isLeftOut(disk, job)),
    excludedDisks: job.excludedDisks,
  }
}

/** Part of what is stored for ever: refused now rather than found unreadable then. */
export function takenAtOf({ name, createdAt }: Pick<VmSnapshot, 'name' | 'createdAt'>): string {
  const ms = Date.parse(createdAt)
  if (!Number.isNaN(ms)) return isoTime(ms)
  throw new BackupError(`Cannot use snapshot "${name}": vCenter says it was made at "${createdAt}", which is no time`, {
    code: 'snapshot-time',
    retry: 'later',
    hint: 'It is made again; look at the clock of the host if this comes back',
  })
}

function entryOf({ vm, name, job }: Target, snapshot: Moref, after: VmState): VmSnapshot {
  const entry = flattenSnapshots(after.snapshots).find((each) => each.moref === snapshot)
  if (entry === undefined || entry.name !== name) {
    throw new BackupError(`Cannot find snapshot "${name}" in the tree of VM "${vm.name}" right after it was made`, {
      code: 'snapshot-vanished',
      retry: 'later',
      hint: 'Somebody removed it at once; it is made again',
    })
  }
  const own = snapshotsOfJob(after, job.id)
  if (own.length === 1) return entry
  const names = own.map((each) => `"${each.name}"`).join(', ')
  throw new BackupError(
    `Cannot use snapshot "${name}" of VM "${vm.name}": it has ${own.length} of this job: ${names}`,
    {
      code: 'snapshot-doubled',
      retry: 'later',
      hint: 'An earlier try came late; all of them are removed and one is made again',
    },
  )
}

/** A disk that the snapshot does not hold and nobody excluded was added in this moment. */
function checkDisks({ vm, job }: Target, state: SnapshotState, after: VmState): void {
  const held = new Set(state.disks.map((disk) => disk.key))
  const missing = after.disks.filter((disk) => !held.has(disk.key) && !isLeftOut(disk, job))
  if (missing.length === 0) return
  const labels = missing.map((disk) => `"${disk.label}"`).join(', ')
  throw new BackupError(`Cannot use the snapshot of VM "${vm.name}": it does not hold ${labels}`, {
    code: 'disk-missing',
    retry: 'later',
    hint: 'A disk was added during the snapshot; it is made again',
  })
}

function isLeftOut(disk: SnapshotState['disks'][number], job: Job): boolean {
  return job.excludedDisks.some((excluded) => excluded.key === disk.key) || isExcluded(disk, job.policy)
}

function gradeOf(job: Job, { rung, fallbacks, snapshotMs }: Taken, entry: VmSnapshot): GradeRecord {
  const claimsMore = rung.grade !== 'offline' && rung.grade !== 'crash' && !entry.quiesced
  return {
    requested: job.policy.consistency.want,
    reached: claimsMore ? 'crash' : rung.grade,
    quiesced: entry.quiesced,
    method: claimsMore ? 'none' : rung.method,
    freezeMs: 0,
    snapshotMs,
    proof: null,
    fallbacks: claimsMore ? [...fallbacks, 'The snapshot is not marked as quiesced'] : fallbacks,
  }
}
