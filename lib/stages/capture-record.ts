// What capture froze, read back from vCenter: complete, or an error that has it made anew.

import { isoTime } from '../base/clock.ts'
import { BackupError } from '../base/errors.ts'
import { cutToJsonBytes } from '../base/text.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { GradeProof, GradeRecord, VssProof } from '../model/grade.ts'
import type { ChannelAttempt, ScriptRun } from '../model/guest.ts'
import type { Moref } from '../model/ids.ts'
import type { Capture, Job } from '../model/job.ts'
import type { Rung } from '../model/ladder.ts'
import { isExcluded } from '../model/preflight.ts'
import { flattenSnapshots, type SnapshotState, type VmSnapshot, type VmState } from '../model/vm.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import type { FreezeFacts } from './guest/hold-guest.ts'
import { vssProofOf } from './guest/vss-proof.ts'
import { snapshotsOfJob } from './snapshots.ts'

/** Together they stay well below what one item of a table holds. */
const STDERR_BYTES_MAX = 131_072
const RUNS_MAX = 12

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
  /** How the guest was held; null where no script held it. */
  readonly freeze: FreezeFacts | null
  /** Runs of scripts whose freeze did not count. */
  readonly failedRuns: readonly ScriptRun[]
  /** What capture tried to get into the guest; empty where it had nothing to do there. */
  readonly attempts: readonly ChannelAttempt[]
  readonly warnings: readonly string[]
}

/** @throws BackupError `snapshot-vanished`, `snapshot-doubled`, `snapshot-time`, `disk-missing`: all pass when the snapshot is made anew */
export async function recordOf(target: Target, taken: Taken, cancel: Cancel): Promise<Capture> {
  const { session, vm, name, job } = target
  const { snapshot } = taken
  const state = await session.readSnapshot(snapshot, cancel)
  const after = await session.readVm(vm.moref, cancel)
  const entry = entryOf(target, snapshot, after)
  const startedMeanwhile = vm.powerState === 'poweredOff' && after.powerState !== 'poweredOff'
  checkDisks(target, state, after)
  const vss = await vssProofOf({ session, vm: vm.moref, entry, quiesce: taken.rung.quiesce }, cancel)
  const config = await session.captureConfig({ vm: vm.moref, snapshot }, cancel)
  return {
    snapshotName: name,
    snapshot,
    takenAt: takenAtOf(entry),
    powerState: startedMeanwhile ? after.powerState : vm.powerState,
    grade: gradeOf(target, taken, { entry, vss, startedMeanwhile }),
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

type Evidence = {
  readonly entry: VmSnapshot
  readonly vss: VssProof | null
  /** Whether a VM that was off before the snapshot was not off any more after it. */
  readonly startedMeanwhile: boolean
}

/** No more than what is proven: a snapshot that is not marked as quiesced, or without a manifest of VSS, counts for less. */
function gradeOf({ job, vm }: Target, taken: Taken, evidence: Evidence): GradeRecord {
  const { entry, vss } = evidence
  const { rung, freeze, fallbacks } = taken
  const proven = provenGrade(rung, evidence)
  return {
    requested: job.policy.consistency.want,
    reached: proven.grade,
    quiesced: entry.quiesced,
    method: proven.method,
    freezeMs: freeze?.heldMs ?? 0,
    snapshotMs: taken.snapshotMs,
    fallbacks: [...fallbacks, ...proven.doubts],
    proof: proofOf({ job, vm }, taken, vss),
  }
}

type Proven = {
  readonly grade: GradeRecord['reached']
  readonly method: GradeRecord['method']
  readonly doubts: readonly string[]
}

function provenGrade({ grade, method, quiesce }: Rung, { entry, vss, startedMeanwhile }: Evidence): Proven {
  if (grade === 'offline' && startedMeanwhile)
    return { grade: 'crash', method, doubts: ['The VM was started while the snapshot was made'] }
  // What scripts hold needs no word of VMware Tools; they are asked for besides.
  if (method === 'scripts' || grade === 'offline' || grade === 'crash') return { grade, method, doubts: [] }
  if (!entry.quiesced) return { grade: 'crash', method: 'none', doubts: ['The snapshot is not marked as quiesced'] }
  if (quiesce.kind !== 'windows' || vss === null || vss.writers.length > 0) return { grade, method, doubts: [] }
  return { grade: 'filesystem', method: 'tools', doubts: [vss.absence ?? 'No application took part in the snapshot'] }
}

function proofOf({ job, vm }: Pick<Target, 'job' | 'vm'>, taken: Taken, vss: VssProof | null): GradeProof | null {
  const { guest } = job
  if (guest === null && vss === null) return null
  const { family } = vm.guest
  return {
    family: family === 'linux' || family === 'windows' ? family : null,
    // The way that froze, or failed to; prepare's own only where capture tried none.
    attempts: taken.attempts.length > 0 ? taken.attempts : (guest?.attempts ?? []),
    user: guest?.workspace?.user ?? null,
    elevated: guest?.workspace?.elevated ?? null,
    scripts: cutRuns([...taken.failedRuns, ...(taken.freeze?.runs ?? [])]),
    thawedBy: taken.freeze?.thawedBy ?? null,
    vss,
  }
}

/** What a job's record can carry: the last runs, and of their output what fits. */
function cutRuns(runs: readonly ScriptRun[]): readonly ScriptRun[] {
  let leftBytes = STDERR_BYTES_MAX
  return runs
    .slice(-RUNS_MAX)
    .toReversed()
    .map((run) => {
      const stderr = cutToJsonBytes(run.stderr, leftBytes)
      leftBytes -= Buffer.byteLength(JSON.stringify(stderr)) - 2
      return { ...run, stderr }
    })
    .toReversed()
}
