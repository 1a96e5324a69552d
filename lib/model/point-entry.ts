// A restore point as the state lists it, for those who have no key to the repository. A note only: the repository is the authority.

import type { GradeRecord } from './grade.ts'
import { type JobId, type PointId, type PolicyName, parseJobId, parsePolicyName, type VmId } from './ids.ts'
import type { Attempt, Job } from './job.ts'
import type { RestorePoint } from './point.ts'

export type PointEntry = {
  readonly pointId: PointId
  readonly vmId: VmId
  /** The VM's name at that time. */
  readonly vmName: string
  readonly sequence: number
  /** ISO 8601, UTC. */
  readonly capturedAt: string
  readonly committedAt: string
  readonly grade: GradeRecord['reached']
  readonly policyName: PolicyName
  readonly jobId: JobId
  readonly disks: readonly { readonly key: number; readonly label: string; readonly capacityBytes: number }[]
  /** Bytes stored for this point alone. */
  readonly storedBytes: number
}

/** What the repository says of a point, for a list that lost it. */
export function pointEntryFrom({ envelope, body }: RestorePoint): PointEntry {
  const { pointId, vmId, sequence, capturedAt, sealedAt, sessionId } = envelope
  return {
    ...{ pointId, vmId, sequence, capturedAt },
    vmName: body.vmName,
    committedAt: sealedAt,
    grade: body.grade.reached,
    policyName: parsePolicyName(body.policyName),
    // A session is named by its job and its attempt.
    jobId: parseJobId(sessionId.slice(0, 32)),
    disks: body.disks.map(({ key, label, capacityBytes }) => ({ key, label, capacityBytes })),
    storedBytes: body.storedBytes,
  }
}

/** @returns null for a job that published no point */
export function pointEntryOf(job: Job, attempt: Attempt | null): PointEntry | null {
  const { pointId, capture, vm, times } = job
  const sealed = attempt?.result?.kind === 'sealed' ? attempt.result : null
  if (pointId === null || capture === null || times.committedAt === null || sealed?.pointId !== pointId) return null
  return {
    pointId,
    vmId: vm.vmId,
    vmName: vm.name,
    sequence: sealed.sequence,
    capturedAt: capture.takenAt,
    committedAt: times.committedAt,
    grade: capture.grade.reached,
    policyName: job.policy.name,
    jobId: job.id,
    disks: capture.disks
      .filter(({ key }) => !capture.excludedDisks.some((excluded) => excluded.key === key))
      .map(({ key, label, capacityBytes }) => ({ key, label, capacityBytes })),
    storedBytes: job.counts.storedBytes,
  }
}
