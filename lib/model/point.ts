// A restore point: what we keep of a VM at one moment. One point covers all its disks.

import type { GradeRecord } from './grade.ts'
import type { PointId, SessionId, VmId } from './ids.ts'
import type { Notice } from './outcome.ts'
import type { TransportName } from './policy.ts'
import type { Usage } from './usage.ts'
import type { VmConfig } from './vm.ts'

/** What everybody who may list the repository sees of a point: authentic, but not encrypted. */
export type PointEnvelope = {
  readonly pointId: PointId
  readonly vmId: VmId
  /** Counts up per VM from 1, by put-if-absent. */
  readonly sequence: number
  readonly parentSequence: number | null
  readonly sessionId: SessionId
  /** The moment of the snapshot, ISO 8601 UTC. */
  readonly capturedAt: string
  readonly sealedAt: string
  readonly retainUntil: string | null
  readonly kid: string
}

/** How a disk's bytes were found: whole, by changed areas, or whole and compared with the parent. */
export type ReadMode = 'full' | 'incremental' | 'differential'

/** Why a whole disk was read, for programs; a newer program may know more. */
export type WholeCause =
  | 'nothing-to-continue'
  | 'chunk-size'
  | 'disk-added'
  | 'disk-replaced'
  | 'disk-shrank'
  | 'no-identity'
  | 'other-server'
  | 'transport'
  | 'tracking-off'
  | 'no-change-id'
  | 'no-earlier-change-id'
  | 'change-id-unreadable'
  | 'change-id-other-chain'
  | 'change-id-went-back'
  | 'query-unsupported'
  | 'query-failed'
  | 'audit-mismatch'
  | 'tracking-distrusted'

/** What was read of a disk although changed block tracking calls it unchanged, and compared with the parent. */
export type DiskAudit = {
  /** Which turn of how many: as many points in a row take the whole disk, in units of so many bytes. */
  readonly slot: number
  readonly slots: number
  readonly unitBytes: number
  readonly chunks: number
  readonly readBytes: number
  /** With the first of them the audit of a disk ends: it is read whole. */
  readonly mismatches: number
}

export type PointDisk = {
  readonly key: number
  readonly label: string
  readonly capacityBytes: number
  /** log2 of the chunk size in bytes, 16 to 22. */
  readonly chunkLog2: number
  readonly fileName: string
  readonly backingUuid: string | null
  readonly changeId: string | null
  readonly readMode: ReadMode
  /** Why the whole disk was read; null for an incremental and the VM's first full. */
  readonly readModeReason: string | null
  /** The same as a WholeCause; null also in points that are older than it. */
  readonly readModeCode: string | null
  readonly transport: TransportName | 'image'
  /** Null where nothing was audited, and in points that are older than it. */
  readonly audit: DiskAudit | null
  /** Bytes read from the source, those of the audit included; chunks and bytes that were new to the repository. */
  readonly readBytes: number
  readonly newChunks: number
  readonly newPlainBytes: number
  readonly newStoredBytes: number
}

export type ExcludedDisk = {
  readonly key: number
  readonly label: string
  readonly fileName: string
  readonly reason: string
}

/** The sealed part of a point. */
export type PointBody = {
  readonly vmName: string
  readonly vcenterId: string | null
  readonly snapshotName: string
  readonly policyName: string
  readonly writer: string
  readonly grade: GradeRecord
  readonly config: VmConfig
  readonly disks: readonly PointDisk[]
  readonly excludedDisks: readonly ExcludedDisk[]
  readonly notices: readonly Notice[]
  /** What its mover had used when it sealed this, in its task; null: not measured. */
  readonly usage: Usage | null
  /** Bytes stored for this point alone: packs, pages, pack set. */
  readonly storedBytes: number
}

export type RestorePoint = { readonly envelope: PointEnvelope; readonly body: PointBody }
