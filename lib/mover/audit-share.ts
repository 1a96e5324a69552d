// Which part of a disk an incremental reads although changed block tracking calls it unchanged. Pure.
//
// A disk is cut into units of whole chunks; the turn of a point takes every slots-th of them, beginning at its slot. So any `slots`
// points in a row take each unit exactly once, a loss of tracking that is spread over a disk shows in the first of them, and what is
// read is read in long runs: a unit of a large disk is one leaf page of its map. Nothing is remembered: slot follows from the point's number.

import type { Extent } from '../model/extent.ts'
import { chunkBytesOf, type DiskShape, leafSpanBytesOf } from '../repository/map-shape.ts'

export type AuditTurn = {
  /** From 0; of this many turns that take the whole disk. */
  readonly slot: number
  readonly slots: number
  readonly unitBytes: number
}

/** There are so many units for each slot, where the disk is large enough, so that turns differ little in size. */
const UNITS_PER_SLOT = 4

/**
 * @param policy.percent the share of a disk that one point audits: 0 to 100; a turn takes one unit at least
 * @param policy.sequence the new point's number
 * @returns null when nothing is audited: percent 0, or a disk without bytes; `slots` is ceil(100 / percent) at most
 */
export function auditTurn(
  shape: DiskShape,
  { percent, sequence }: { readonly percent: number; readonly sequence: number },
): AuditTurn | null {
  if (percent <= 0 || shape.capacityBytes === 0) return null
  const chunkBytes = chunkBytesOf(shape)
  const chunks = Math.ceil(shape.capacityBytes / chunkBytes)
  const slotsMax = Math.ceil(100 / percent)
  const unitBytes = unitChunksOf(shape, { chunks, slotsMax }) * chunkBytes
  const units = Math.ceil(shape.capacityBytes / unitBytes)
  const perTurn = Math.ceil(units / slotsMax)
  const slots = Math.ceil(units / perTurn)
  return { slot: sequence % slots, slots, unitBytes }
}

/** The turn's units as ascending, disjoint extents of whole chunks, the disk's last perhaps short. */
export function auditExtents({ capacityBytes }: DiskShape, { slot, slots, unitBytes }: AuditTurn): readonly Extent[] {
  if (slots === 1) return [{ offsetBytes: 0, lengthBytes: capacityBytes }]
  const extents: Extent[] = []
  for (let offsetBytes = slot * unitBytes; offsetBytes < capacityBytes; offsetBytes += slots * unitBytes)
    extents.push({ offsetBytes, lengthBytes: Math.min(unitBytes, capacityBytes - offsetBytes) })
  return extents
}

/** A power of two: a leaf's chunks at most, one at least. */
function unitChunksOf(
  shape: DiskShape,
  { chunks, slotsMax }: { readonly chunks: number; readonly slotsMax: number },
): number {
  const leafChunks = leafSpanBytesOf(shape) / chunkBytesOf(shape)
  const wanted = Math.min(leafChunks, chunks / (slotsMax * UNITS_PER_SLOT))
  return 2 ** Math.max(0, Math.floor(Math.log2(wanted)))
}
