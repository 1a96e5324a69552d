// A restore point as it is shown: the same facts for people and for scripts.

import { ascending } from '../base/text.ts'
import { suspicionsOf } from '../model/annotation.ts'
import type { GradeRecord } from '../model/grade.ts'
import type { PointId, VmId } from '../model/ids.ts'
import type { Notice } from '../model/outcome.ts'
import type { DiskAudit, ExcludedDisk, ReadMode } from '../model/point.ts'
import type { AnnotationListing, UnreadableAnnotation } from '../repository/annotations.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import type { UnreadablePoint } from '../repository/points.ts'
import { isProven, type PointProof } from './point-proof.ts'

export type PointDiskView = {
  readonly key: number
  readonly label: string
  readonly fileName: string
  readonly capacityBytes: number
  readonly chunkLog2: number
  readonly readMode: ReadMode
  readonly readModeReason: string | null
  readonly readModeCode: string | null
  readonly audit: DiskAudit | null
  readonly transport: string
  readonly readBytes: number
  readonly newPlainBytes: number
  readonly newStoredBytes: number
}

export type PointView = {
  readonly id: PointId
  readonly vm: string
  readonly vmId: VmId
  readonly sequence: number
  readonly parentSequence: number | null
  readonly capturedAt: string
  readonly grade: GradeRecord['reached']
  /** Whether nothing speaks against its bytes, and why that is believed. */
  readonly proven: boolean
  readonly proof: PointProof
  /** Why what it holds is suspected, by alarms that nobody has cleared; null when it is not. */
  readonly suspect: string | null
  /** What the grade rests on. */
  readonly consistency: GradeRecord
  readonly storedBytes: number
  readonly snapshotName: string
  readonly policy: string
  readonly disks: readonly PointDiskView[]
  readonly excludedDisks: readonly ExcludedDisk[]
  readonly notices: readonly Notice[]
}

export type UnreadableView = {
  readonly vmId: VmId
  readonly sequence: number
  readonly code: string
  readonly message: string
}

/** @param known how well it is proven, and what is said about points later */
export function viewPoint(
  { envelope, body }: StoredPoint,
  { proof, said }: { readonly proof: PointProof; readonly said: AnnotationListing },
): PointView {
  const own = said.annotations.filter(({ pointId }) => pointId === envelope.pointId)
  const suspicions = suspicionsOf(own.map((one) => one.said)).map(({ reason }) => reason)
  const chunkLog2 = new Map(envelope.disks.map((disk) => [disk.key, disk.chunkLog2]))
  return {
    id: envelope.pointId,
    vm: body.vmName,
    vmId: envelope.vmId,
    sequence: envelope.sequence,
    parentSequence: envelope.parentSequence,
    capturedAt: envelope.capturedAt,
    grade: body.grade.reached,
    proven: isProven(proof),
    proof,
    suspect: suspicions.length === 0 ? null : suspicions.join('; '),
    consistency: body.grade,
    storedBytes: body.storedBytes,
    snapshotName: body.snapshotName,
    policy: body.policyName,
    disks: body.disks.map((disk) => ({
      key: disk.key,
      label: disk.label,
      fileName: disk.fileName,
      capacityBytes: disk.capacityBytes,
      chunkLog2: chunkLog2.get(disk.key) ?? disk.chunkLog2,
      readMode: disk.readMode,
      readModeReason: disk.readModeReason,
      readModeCode: disk.readModeCode,
      audit: disk.audit,
      transport: disk.transport,
      readBytes: disk.readBytes,
      newPlainBytes: disk.newPlainBytes,
      newStoredBytes: disk.newStoredBytes,
    })),
    excludedDisks: body.excludedDisks,
    notices: body.notices,
  }
}

/** An annotation that cannot be believed: what it says of its point is not known. */
export type UnreadableAnnotationView = UnreadableView & { readonly number: number }

export function viewUnreadableAnnotation({ ref, error }: UnreadableAnnotation): UnreadableAnnotationView {
  return { ...ref, code: error.code, message: error.message }
}

export function viewUnreadable({ ref, error }: UnreadablePoint): UnreadableView {
  return { vmId: ref.vmId, sequence: ref.sequence, code: error.code, message: error.message }
}

/** By the VM's name, then its id, then ascending by sequence: the order in which points are shown. */
export function sortPoints<Point extends { readonly vm: string; readonly vmId: string; readonly sequence: number }>(
  points: readonly Point[],
): readonly Point[] {
  return points.toSorted(
    (left, right) => ascending(left.vm, right.vm) || ascending(left.vmId, right.vmId) || left.sequence - right.sequence,
  )
}
