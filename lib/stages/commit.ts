// commit: the only committer. Looks once more whether what was read is what capture froze, then publishes the candidate.

import { isDeepStrictEqual } from 'node:util'
import { isoTime } from '../base/clock.ts'
import { hasCode, unreachable } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { sessionIdOf } from '../model/ids.ts'
import type { Capture, Job } from '../model/job.ts'
import type { Outcome } from '../model/outcome.ts'
import { flattenSnapshots, type SnapshotState, type VmState } from '../model/vm.ts'
import { waitsForTasks } from '../model/vm-task.ts'
import { type Published, publishCandidate } from '../repository/candidate.ts'
import { readPoint } from '../repository/points.ts'
import type { Repository } from '../repository/repository.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { movedBy, type Step } from './step.ts'
import { noteTrackingFault } from './unproven.ts'

export async function commit(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Step> {
  const job = hold.job()
  const { capture } = job
  if (capture === null) return movedBy({ kind: 'failed', outcome: changed(job, 'its capture record is missing') })
  const repository = await deps.repository(cancel)
  if (await isPublished(job, repository, { deps, cancel })) return committed(job, 'already-ours', deps)
  const last = await lookAgain(job, capture, { deps, cancel })
  if (last.waitsFor !== null) return { kind: 'again', delayMs: deps.limits.pollMs, waitsFor: last.waitsFor }
  if (last.difference !== null) return movedBy({ kind: 'failed', outcome: changed(job, last.difference) })

  await noteTrackingFault(hold, { deps, cancel })
  const answer = await publish(job, repository, { deps, cancel })
  if (typeof answer === 'object') return refused(job, refusalOf(job, answer))
  return committed(job, answer, deps)
}

/** What was read cannot become a point; a new attempt can, while there is one left. */
function refused(job: Job, { code, message }: { readonly code: string; readonly message: string }): Step {
  if (job.attempt < job.policy.attemptsMax) {
    return movedBy({ kind: 'candidate-refused', notice: { code, message: `${message}; it is read again`, hint: null } })
  }
  return movedBy({ kind: 'failed', outcome: { kind: 'failed', code, message, hint: 'Start the backup again' } })
}

function refusalOf(
  { vm }: Job,
  answer: Exclude<Published, string>,
): { readonly code: string; readonly message: string } {
  switch (answer.kind) {
    case 'conflict': {
      const message = `Another restore point of VM "${vm.name}" took sequence ${answer.winner.sequence} first`
      return { code: 'point-conflict', message }
    }
    case 'expired': {
      const hours = Math.round(answer.sessionMsMax / 3_600_000)
      const age = answer.startedAt === null ? 'the start of its session is gone' : `it began at ${answer.startedAt}`
      const message = `Cannot publish what was read of VM "${vm.name}": ${age}, the repository allows ${hours} hours from there`
      return { code: 'session-expired', message }
    }
    default:
      return unreachable(answer)
  }
}

function committed(job: Job, answer: 'published' | 'already-ours', deps: StageDeps): Step {
  deps.log.info('point.committed', { point: job.pointId ?? '', answer })
  return movedBy({ kind: 'committed', at: isoTime(deps.clock.nowMs()) })
}

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/** An error leaves open whether the point was written: only a second look tells. */
async function publish(job: Job, repository: Repository, call: Call): Promise<Published> {
  const { clock } = call.deps
  try {
    return await publishCandidate({ repository, sessionId: sessionIdOf(job.id, job.attempt), clock }, call.cancel)
  } catch (error) {
    if (await isPublished(job, repository, call).catch(() => false)) return 'already-ours'
    throw error
  }
}

/** An earlier try may have published without living to say so: what happened to the VM since does not undo that. */
async function isPublished(job: Job, repository: Repository, { deps, cancel }: Call): Promise<boolean> {
  const sessionId = sessionIdOf(job.id, job.attempt)
  const result = (await deps.jobStore.attempts.get(sessionId, cancel))?.value.result ?? null
  if (result?.kind !== 'sealed') return false
  try {
    const ref = { vmId: job.vm.vmId, sequence: result.sequence }
    return (await readPoint({ repository, ref }, cancel)).envelope.sessionId === sessionId
  } catch (error) {
    if (hasCode(error, 'point-missing')) return false
    throw error
  }
}

type LastLook = { readonly waitsFor: string | null; readonly difference: string | null }

/**
 * Range reads succeed also on garbage: what was removed, reverted, consolidated or moved meanwhile must be seen here. Tasks before
 * the tree: one that began during the read either still runs, and its end is waited for, or is seen in what it changed. One
 * that begins later harms nothing: everything is read.
 */
async function lookAgain(job: Job, capture: Capture, { deps, cancel }: Call): Promise<LastLook> {
  await using session = await deps.vsphere.open(cancel)

  const waitsFor = waitsForTasks(await session.runningTasks(job.vm.moref, cancel))
  if (waitsFor !== null) return { waitsFor, difference: null }
  const vm = await session.readVm(job.vm.moref, cancel)
  const missing = snapshotMissing(job, capture, vm)
  if (missing !== null) return { waitsFor, difference: missing }
  const snapshot = await session.readSnapshot(capture.snapshot, cancel)
  return { waitsFor, difference: diskDifference(capture, snapshot, vm) }
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
    // Somebody removed or consolidated a snapshot below ours: its bytes were moved while they were read.
    if (!isDeepStrictEqual(now.parents, disk.parents))
      return `disk "${disk.label}" now builds on ${chainOf(now.parents)}, not on ${chainOf(disk.parents)}`
    if (now.uuid !== disk.uuid) return `disk "${disk.label}" has another identity`
    if (now.capacityBytes !== disk.capacityBytes) return `disk "${disk.label}" has another size`
    const live = vm.disks.find((other) => other.key === disk.key)
    if (live !== undefined && live.capacityBytes !== disk.capacityBytes)
      return `the running disk "${disk.label}" has another size`
    // A reverted VM hangs its running disk below another parent; a removed disk leaves the frozen layer readable.
    const chain = live === undefined ? null : [live.fileName, ...live.parents]
    if (chain !== null && !chain.includes(disk.fileName)) {
      return `the running disk "${disk.label}" ("${live?.fileName}") no longer builds on "${disk.fileName}"`
    }
  }
  return null
}

function chainOf(files: readonly string[]): string {
  return files.length === 0 ? 'nothing' : files.map((file) => `"${file}"`).join(', ')
}

function changed(job: Job, difference: string): Outcome {
  return {
    kind: 'failed',
    code: 'snapshot-changed',
    message: `Cannot keep what was read of VM "${job.vm.name}": ${difference}`,
    hint: "Somebody changed the VM's snapshots or disks during the read; start the backup again",
  }
}
