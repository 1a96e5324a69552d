// The guard of a snapshot while its disks are read: one that is too old, too large or fills its datastore ends the read.

import { messageOf } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Moref } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import type { Outcome } from '../model/outcome.ts'
import { type SnapshotGrowth, whyReadEnds } from '../model/snapshot-growth.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { growthOf } from './snapshot-times.ts'

/**
 * Looks at the snapshot, and no more often than growthLookMs. A vCenter that does not answer ends nothing.
 * @returns how the job ends; null while it may go on
 */
export async function guardSnapshot(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Outcome | null> {
  const { capture, policy, vm, snapshotWatch: last } = hold.job()
  if (capture === null) return null
  const nowMs = deps.clock.nowMs()
  // By our own clock: vCenter's may be another.
  const sinceMs = last?.sinceMs ?? nowMs
  const look = { vmName: vm.name, snapshotName: capture.snapshotName, ageMs: nowMs - sinceMs }
  const tooOld = whyReadEnds({ ...look, growth: null }, policy.snapshot)
  if (tooOld !== null) return told(tooOld, deps)
  if (last !== null && nowMs - last.lookedAtMs < deps.limits.growthLookMs) return null
  const growth = await readGrowth(hold.job(), capture.snapshot, { deps, cancel })
  const growthBytes = growth?.growthBytes ?? last?.growthBytes ?? null
  const snapshotWatch = { sinceMs, lookedAtMs: nowMs, growthBytes, removalAtMs: null }
  await hold.update((job) => ({ ...job, snapshotWatch }), cancel)
  const outcome = whyReadEnds({ ...look, growth }, policy.snapshot)
  return outcome === null ? null : told(outcome, deps)
}

function told(outcome: Outcome, { log, metrics }: StageDeps): Outcome {
  log.warn('snapshot.read-ended', { code: outcome.code, message: outcome.message })
  metrics.count('snapshot.read-ended', 1, { code: outcome.code })
  return outcome
}

async function readGrowth(
  { vm }: Job,
  snapshot: Moref,
  { deps, cancel }: { readonly deps: StageDeps; readonly cancel: Cancel },
): Promise<SnapshotGrowth | null> {
  try {
    await using session = await deps.vsphere.open(cancel)

    return await growthOf(session, { vm: vm.moref, snapshot }, { deps, cancel })
  } catch (error) {
    cancel.signal.throwIfAborted()
    deps.log.warn('snapshot.growth-unknown', { vm: vm.moref, message: messageOf(error) })
    return null
  }
}
