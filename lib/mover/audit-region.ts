// Reads a region again that changed block tracking calls unchanged, and compares each chunk with what the parent keeps.

import { assert } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { alignExtents, clipExtents, cutExtents, type Extent, totalBytes, withoutExtents } from '../model/extent.ts'
import type { DiskSource } from '../ports/disk.ts'
import type { ChunkCompare } from '../repository/chunk-compare.ts'
import type { ChunkEntry } from '../repository/chunk-writer.ts'
import { chunkBytesOf, leafSpanBytesOf } from '../repository/map-shape.ts'
import { forEachPiece } from './read-ahead.ts'
import type { Region } from './regions.ts'
import { wholeChunk } from './whole-chunk.ts'

export type AuditDone = {
  readonly diskKey: number
  /** Chunks that were compared, and bytes that were read for it: what the source knows to be zero is not read. */
  readonly chunks: number
  readonly readBytes: number
  readonly mismatches: number
  /** Where the first one that differs begins; null when none does. */
  readonly firstOffsetBytes: number | null
}

export type RegionAudit = {
  readonly region: Region
  readonly source: DiskSource
  readonly chunkLog2: number
  /** The parent's entries, by number of the leaf: of each leaf of the region. */
  readonly kept: ReadonlyMap<number, readonly ChunkEntry[]>
  readonly compare: ChunkCompare
  readonly arena: Uint8Array
  readonly pieceBytesMax: number
  /** Reads in flight at most. */
  readonly readsMax: number
  readonly report: (diskKey: number, doneBytes: number) => void
}

export async function auditRegion(audit: RegionAudit, cancel: Cancel): Promise<AuditDone> {
  const { region, source, arena, pieceBytesMax, compare, report } = audit
  const { diskKey } = region
  const chunkBytes = chunkBytesOf(audit)
  const differing: number[] = []
  let chunks = 0
  const check = (offsetBytes: number, isSame: (kept: ChunkEntry) => boolean) => {
    chunks++
    if (!isSame(keptAt(audit, offsetBytes))) differing.push(offsetBytes)
  }
  const { read, zero } = await knownRuns(audit, cancel)
  for (const { offsetBytes, lengthBytes } of cutExtents(zero, chunkBytes)) {
    check(offsetBytes, (kept) => kept === null)
    report(diskKey, lengthBytes)
  }
  const options = { arena, pieceBytesMax, readsMax: audit.readsMax, ...cancel }
  await forEachPiece(
    { source, extents: read },
    {
      ...options,
      use: ({ offsetBytes, bytes }) => {
        for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
          const plain = wholeChunk(bytes.subarray(at, at + chunkBytes), chunkBytes)
          check(offsetBytes + at, (kept) => compare(plain, kept))
        }
        report(diskKey, bytes.byteLength)
      },
    },
  )
  const mismatches = differing.length
  const firstOffsetBytes = mismatches === 0 ? null : differing.reduce((least, offset) => Math.min(least, offset))
  return { diskKey, chunks, readBytes: totalBytes(read), mismatches, firstOffsetBytes }
}

/** What the source may have data in, widened to whole chunks, and the rest, whose chunks are zeros. */
async function knownRuns(
  { region, source, chunkLog2 }: RegionAudit,
  cancel: Cancel,
): Promise<{ readonly read: readonly Extent[]; readonly zero: readonly Extent[] }> {
  const read: Extent[] = []
  const zero: Extent[] = []
  const limits = { blockBytes: chunkBytesOf({ chunkLog2 }), capacityBytes: source.capacityBytes }
  for (const extent of region.extents) {
    const runs = await source.allocation(extent, cancel)
    const data = alignExtents(
      runs.filter((run) => run.kind === 'data'),
      limits,
    )
    const inside = clipExtents(data, extent)
    read.push(...inside)
    zero.push(...withoutExtents([extent], inside))
  }
  return { read, zero }
}

function keptAt({ chunkLog2, kept }: RegionAudit, offsetBytes: number): ChunkEntry {
  const leafBytes = leafSpanBytesOf({ chunkLog2 })
  const entries = kept.get(Math.floor(offsetBytes / leafBytes))
  assert(entries !== undefined, 'what is audited lies in a leaf of its region')
  return entries[Math.floor((offsetBytes % leafBytes) / chunkBytesOf({ chunkLog2 }))] ?? null
}
