// What is said about a restore point after it was written: kept beside it, never in it. Pure.

import type { PointId, SessionId, VmId } from './ids.ts'

/** Changed block tracking left out changes at some time since the disk was last read whole: bytes of it may be older than the point. */
export type Unproven = {
  readonly kind: 'unproven'
  /** One sentence. */
  readonly reason: string
  /** Device keys of the point's disks. */
  readonly diskKeys: readonly number[]
  /** The session that found it: it says so once. */
  readonly foundBy: SessionId
}

export type Annotation = {
  readonly vmId: VmId
  readonly sequence: number
  /** A sequence could be used twice: what is said names the point itself. */
  readonly pointId: PointId
  /** From 1, beside one point. */
  readonly number: number
  readonly writtenAt: string
  readonly kind: string
  /** Null for a kind that this program does not know. */
  readonly said: Unproven | null
}
