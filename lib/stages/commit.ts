// commit: the only committer. Looks once more whether what was read is what capture froze, then publishes the candidate.

import type { Cancel } from '../base/time-limit.ts'
import { sessionIdOf } from '../model/ids.ts'
import type { Capture, Job } from '../model/job.ts'
import type { Outcome } from '../model/outcome.ts'
import { flattenSnapshots, type SnapshotState, type VmState } from '../model/vm.ts'
import { publishCandidate } from '../repository/candidate.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { movedBy, type Step } from './step.ts'

export async function commit(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Step> {
  const job = hold.job()
  const { capture } = job
  if (capture === null) return movedBy({ kind: 'failed', outcome: changed(job, 'its capture record is missing') })
  const difference = await findDifference(job, capture, { deps, cancel })
  if (difference !== null) return movedBy({ kind: 'failed', outcome: changed(job, difference) })

  const repository = await deps.repository(cancel)
  const answer = await publishCandidate({ repository, sessionId: sessionIdOf(job.id, job.attempt) }, cancel)
  if (typeof answer === 'object') {
    const message = `Another restore point of VM "${job.vm.name}" took sequence ${answer.conflict.sequence} first; the disks are compared with it and read again`
    if (job.attempt < job.policy.attemptsMax)
      return movedBy({ kind: 'candidate-refused', notice: { code: 'point-conflict', message, hint: null } })
    return movedBy({
      kind: 'failed',
      outcome: { kind: 'failed', code: 'point-conflict', message, hint: 'Start the backup again' },
    })
  }
  deps.log.info('point.committed', { point: job.pointId ?? '', answer })
  return movedBy({ kind: 'committed', at: new Date(deps.clock.nowMs()).toISOString() })
}

/** Range reads succeed also on garbage: what was removed, reverted, consolidated or moved meanwhile must be seen here. */
async function findDifference(
  job: Job,
  capture: Capture,
  { deps, cancel }: { readonly deps: StageDeps; readonly cancel: Cancel },
): Promise<string | null> {
  await using session = await deps.vsphere.open(cancel)

  const vm = await session.readVm(job.vm.moref, cancel)
  const missing = snapshotMissing(job, capture, vm)
  if (missing !== null) return missing
  return diskDifference(capture, await session.readSnapshot(capture.snapshot, cancel), vm)
}

function snapshotMissing(job: Job, capture: Capture, vm: VmState): string | null {
  if (vm.vmId !== job.vm.vmId) return `"${job.vm.moref}" is now another VM ("${vm.name}")`
  const entry = flattenSnapshots(vm.snapshots).find((snapshot) => snapshot.moref === capture.snapshot)
  if (entry === undefined) return `snapshot "${capture.snapshotName}" is no longer in its tree`
  return entry.name === capture.snapshotName ? null : `its snapshot is now named "${entry.name}"`
}

/** In words, the first difference between the disks as captured and as they are; null when there is none. Pure. */
export function diskDifference(
  capture: Pick<Capture, 'disks'>,
  snapshot: SnapshotState,
  vm: Pick<VmState, 'disks'>,
): string | null {
  for (const disk of capture.disks) {
    const now = snapshot.disks.find((other) => other.key === disk.key)
    if (now === undefined) return `disk "${disk.label}" is no longer in the snapshot`
    if (now.fileName !== disk.fileName)
      return `disk "${disk.label}" is now backed by "${now.fileName}", not "${disk.fileName}"`
    if (now.uuid !== disk.uuid) return `disk "${disk.label}" has another identity`
    if (now.capacityBytes !== disk.capacityBytes) return `disk "${disk.label}" has another size`
    const live = vm.disks.find((other) => other.key === disk.key)
    // A reverted VM hangs its running disk below another parent; a removed disk leaves the frozen layer readable.
    const chain = live === undefined ? null : [live.fileName, ...live.parents]
    if (chain !== null && !chain.includes(disk.fileName)) {
      return `the running disk "${disk.label}" ("${live?.fileName}") no longer builds on "${disk.fileName}"`
    }
  }
  return null
}

function changed(job: Job, difference: string): Outcome {
  return {
    kind: 'failed',
    code: 'snapshot-changed',
    message: `Cannot keep what was read of VM "${job.vm.name}": ${difference}`,
    hint: "Somebody changed the VM's snapshots or disks during the read; start the backup again",
  }
}
