// How a backup's snapshot weighed on its VM: measured while it goes, kept in the VM's history.

import { messageOf } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Moref } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import type { SnapshotGrowth } from '../model/snapshot-growth.ts'
import { SNAPSHOTS_MAX, type SnapshotTimes } from '../model/vm-history.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { rememberVm } from './vm-history.ts'

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/** Notes, once, how far the snapshot had grown and that its removal begins now. */
export async function noteRemoval(
  { session, home }: { readonly session: VsphereSession; readonly home: Moref },
  hold: JobHold,
  { deps, cancel }: Call,
): Promise<void> {
  const { capture, snapshotWatch } = hold.job()
  if (capture === null || (snapshotWatch?.removalAtMs ?? null) !== null) return
  const growth = await growthOf(session, { vm: home, snapshot: capture.snapshot }, { deps, cancel })
  const removalAtMs = deps.clock.nowMs()
  const growthBytes = growth?.growthBytes ?? snapshotWatch?.growthBytes ?? null
  const sinceMs = snapshotWatch?.sinceMs ?? Math.min(removalAtMs, Date.parse(capture.takenAt))
  const watch = { sinceMs, lookedAtMs: removalAtMs, growthBytes, removalAtMs }
  await hold.update((job) => ({ ...job, snapshotWatch: watch }), cancel)
}

/** @returns null where it cannot be told, which the log says: it holds up nothing */
export async function growthOf(
  session: VsphereSession,
  at: { readonly vm: Moref; readonly snapshot: Moref },
  { deps, cancel }: Call,
): Promise<SnapshotGrowth | null> {
  try {
    return await session.readSnapshotGrowth(at, cancel)
  } catch (error) {
    cancel.signal.throwIfAborted()
    deps.log.warn('snapshot.growth-unknown', { vm: at.vm, message: messageOf(error) })
    return null
  }
}

/** Keeps the times of a snapshot that is gone; a job's first note stands. Losing them loses no backup. */
export async function noteTimes(job: Job, deps: StageDeps, cancel: Cancel): Promise<void> {
  const times = timesOf(job, deps.clock.nowMs())
  if (times === null) return
  const { removeMs, aliveMs, growthBytes, createMs, freezeMs } = times
  deps.log.info('snapshot.gone', { createMs, freezeMs, removeMs, aliveMs, growthBytes })
  try {
    await rememberVm(
      job.vm,
      (history) => {
        if (history.snapshots.some(({ jobId }) => jobId === job.id)) return history
        return { ...history, name: job.vm.name, snapshots: [...history.snapshots, times].slice(-SNAPSHOTS_MAX) }
      },
      { deps, cancel },
    )
  } catch (error) {
    cancel.signal.throwIfAborted()
    deps.log.warn('snapshot.times-not-kept', { message: messageOf(error) })
  }
}

function timesOf({ id, capture, snapshotWatch }: Job, nowMs: number): SnapshotTimes | null {
  if (capture === null) return null
  const removalAtMs = snapshotWatch?.removalAtMs ?? null
  return {
    jobId: id,
    takenAt: capture.takenAt,
    freezeMs: Math.max(0, capture.grade.freezeMs),
    createMs: Math.max(0, capture.grade.snapshotMs),
    removeMs: removalAtMs === null ? null : Math.max(0, nowMs - removalAtMs),
    aliveMs: snapshotWatch === null || removalAtMs === null ? null : Math.max(0, nowMs - snapshotWatch.sinceMs),
    growthBytes: snapshotWatch?.growthBytes ?? null,
  }
}
