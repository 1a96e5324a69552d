// Extents: byte ranges of a disk, and the pure arithmetic on lists of them.

import { assert } from '../base/errors.ts'

/** Bytes from offsetBytes to offsetBytes + lengthBytes, the end excluded; lengthBytes > 0. */
export type Extent = { readonly offsetBytes: number; readonly lengthBytes: number }

export function endOf(extent: Extent): number {
  return extent.offsetBytes + extent.lengthBytes
}

/**
 * Joins extents that touch or overlap.
 * @param extents any order; lengthBytes > 0
 * @returns ascending, disjoint, never touching; exactly the same bytes
 */
export function mergeExtents(extents: readonly Extent[]): readonly Extent[] {
  const merged: Extent[] = []
  for (const extent of extents.toSorted((a, b) => a.offsetBytes - b.offsetBytes)) {
    assert(extent.lengthBytes > 0, 'an extent has a length')
    const last = merged.at(-1)
    if (last !== undefined && extent.offsetBytes <= endOf(last)) {
      const lengthBytes = Math.max(endOf(last), endOf(extent)) - last.offsetBytes
      merged[merged.length - 1] = { offsetBytes: last.offsetBytes, lengthBytes }
    } else {
      merged.push({ offsetBytes: extent.offsetBytes, lengthBytes: extent.lengthBytes })
    }
  }
  return merged
}

/**
 * Widens extents to whole blocks, then merges them.
 * @param limits blockBytes > 0; the result ends at capacityBytes at the latest, whole block or not
 */
export function alignExtents(
  extents: readonly Extent[],
  limits: { readonly blockBytes: number; readonly capacityBytes: number },
): readonly Extent[] {
  const { blockBytes, capacityBytes } = limits
  const widened = extents.map((extent) => {
    const start = Math.floor(extent.offsetBytes / blockBytes) * blockBytes
    const end = Math.min(Math.ceil(endOf(extent) / blockBytes) * blockBytes, capacityBytes)
    return { offsetBytes: start, lengthBytes: end - start }
  })
  return mergeExtents(widened.filter((extent) => extent.lengthBytes > 0))
}

/** The parts of ascending, disjoint `extents` inside `window`, cut at its borders. */
export function clipExtents(extents: readonly Extent[], window: Extent): readonly Extent[] {
  const clipped: Extent[] = []
  for (const extent of extents) {
    const start = Math.max(extent.offsetBytes, window.offsetBytes)
    const end = Math.min(endOf(extent), endOf(window))
    if (end > start) clipped.push({ offsetBytes: start, lengthBytes: end - start })
  }
  return clipped
}

/** The bytes of `extents` that are not in `others`; both ascending and disjoint. */
export function withoutExtents(extents: readonly Extent[], others: readonly Extent[]): readonly Extent[] {
  const left: Extent[] = []
  let first = 0
  for (const extent of extents) {
    while (first < others.length && endOf(others[first] ?? extent) <= extent.offsetBytes) first++
    let at = extent.offsetBytes
    for (let i = first; at < endOf(extent); i++) {
      const other = others[i]
      const next = other === undefined ? endOf(extent) : Math.min(other.offsetBytes, endOf(extent))
      if (next > at) left.push({ offsetBytes: at, lengthBytes: next - at })
      at = other === undefined ? endOf(extent) : Math.max(at, endOf(other))
    }
  }
  return mergeExtents(left)
}

/** Cuts every extent into pieces of at most `lengthBytesMax`, in order. */
export function cutExtents(extents: readonly Extent[], lengthBytesMax: number): readonly Extent[] {
  assert(lengthBytesMax > 0, 'pieces have a length')
  return extents.flatMap((extent) => {
    const pieces: Extent[] = []
    for (let offsetBytes = extent.offsetBytes; offsetBytes < endOf(extent); offsetBytes += lengthBytesMax) {
      pieces.push({ offsetBytes, lengthBytes: Math.min(lengthBytesMax, endOf(extent) - offsetBytes) })
    }
    return pieces
  })
}

export function totalBytes(extents: readonly Extent[]): number {
  return extents.reduce((sum, extent) => sum + extent.lengthBytes, 0)
}
