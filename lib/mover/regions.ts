// The cut of a disk's reading into regions, the units of work of one worker. Pure.

import { assert } from '../base/errors.ts'
import { alignExtents, clipExtents, type Extent, endOf, totalBytes } from '../model/extent.ts'

/** Touched leaf pages and what of them is read. A leaf that no region names keeps what the disk's base says. */
export type Region = {
  readonly diskKey: number
  /** Ascending page numbers; leaf n maps the disk from n × leafBytes. */
  readonly leaves: readonly number[]
  /** Ascending, disjoint, whole chunks (the disk's last may be short), inside the leaves. */
  readonly extents: readonly Extent[]
  /** Whether the whole disk is read, so that what the source knows to be zero need not be. */
  readonly whole: boolean
}

export type RegionLimits = {
  readonly diskKey: number
  readonly whole: boolean
  readonly capacityBytes: number
  readonly chunkBytes: number
  /** Disk bytes that one leaf page maps: whole chunks. */
  readonly leafBytes: number
  /** A region is full with this many bytes to read (one leaf may exceed it) or this many leaves. */
  readonly readBytesMax: number
  readonly leavesMax: number
}

type OpenRegion = { readonly leaves: number[]; readonly extents: Extent[]; bytes: number }

/**
 * Every leaf that an extent touches is in exactly one region.
 * @param extents any order, bytes of the disk
 */
export function* cutRegions(extents: readonly Extent[], limits: RegionLimits): Generator<Region> {
  const { diskKey, whole, leafBytes, chunkBytes, capacityBytes } = limits
  assert(leafBytes % chunkBytes === 0, 'a leaf holds whole chunks')
  let open: OpenRegion = { leaves: [], extents: [], bytes: 0 }
  const close = (): Region => {
    const region = { diskKey, leaves: open.leaves, extents: joinTouching(open.extents), whole }
    open = { leaves: [], extents: [], bytes: 0 }
    return region
  }
  for (const part of leavesOf(alignExtents(extents, { blockBytes: chunkBytes, capacityBytes }), leafBytes)) {
    const bytes = totalBytes(part.extents)
    const full = open.bytes + bytes > limits.readBytesMax || open.leaves.length >= limits.leavesMax
    if (full && open.leaves.length > 0) yield close()
    open.leaves.push(part.leaf)
    open.extents.push(...part.extents)
    open.bytes += bytes
  }
  if (open.leaves.length > 0) yield close()
}

/** The extents leaf by leaf; an extent that spans leaves is cut at their borders. */
function* leavesOf(
  extents: readonly Extent[],
  leafBytes: number,
): Generator<{ readonly leaf: number; readonly extents: readonly Extent[] }> {
  let leaf = -1
  let own: Extent[] = []
  for (const extent of extents) {
    for (let at = extent.offsetBytes; at < endOf(extent); ) {
      const index = Math.floor(at / leafBytes)
      if (index !== leaf) {
        if (own.length > 0) yield { leaf, extents: own }
        leaf = index
        own = []
      }
      const end = Math.min(endOf(extent), (index + 1) * leafBytes)
      own.push({ offsetBytes: at, lengthBytes: end - at })
      at = end
    }
  }
  if (own.length > 0) yield { leaf, extents: own }
}

/** Joins neighbours of an ascending, disjoint list. */
function joinTouching(extents: readonly Extent[]): readonly Extent[] {
  const joined: Extent[] = []
  for (const extent of extents) {
    const last = joined.at(-1)
    if (last !== undefined && endOf(last) === extent.offsetBytes) {
      joined[joined.length - 1] = { offsetBytes: last.offsetBytes, lengthBytes: last.lengthBytes + extent.lengthBytes }
    } else joined.push(extent)
  }
  return joined
}

/** How much one region reads, so that every worker gets several of them: 8 leaves at most, one at least. */
export function regionBytesOf(
  totalReadBytes: number,
  limits: { readonly workers: number; readonly leafBytes: number },
): number {
  const share = totalReadBytes / (Math.max(1, limits.workers) * 8)
  return Math.min(8, Math.max(1, Math.round(share / limits.leafBytes))) * limits.leafBytes
}

/** What is read of the part of a disk that a source knows: its zero runs are left out, widened to whole chunks. */
export function dataExtents(
  extents: readonly Extent[],
  data: readonly Extent[],
  limits: { readonly chunkBytes: number; readonly capacityBytes: number },
): readonly Extent[] {
  const aligned = alignExtents(data, { blockBytes: limits.chunkBytes, capacityBytes: limits.capacityBytes })
  return extents.flatMap((extent) => clipExtents(aligned, extent))
}
