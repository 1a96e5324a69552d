// Walks everything below a place of a disk's block map, to count it.

import type { Cancel } from '../base/time-limit.ts'
import type { Leaf } from '../wire/repository/page.ts'
import { refsPerInner } from '../wire/repository/page.ts'
import type { RecordRef } from '../wire/repository/record-ref.ts'
import { type DiskMapReader, diskMapReader, type MapOptions } from './disk-map-reader.ts'
import { rootLevelOf } from './map-shape.ts'
import { type PackDelta, packTally } from './pack-use.ts'

export type CountVisitor = {
  /** Every page, inner and leaf. */
  readonly page: (ref: RecordRef) => void
  readonly leaf: (leaf: Leaf) => void
  readonly cancel: Cancel
}

/** Visits the page at this place and all below it, in order. Level 0 is a leaf. */
export async function countBelow(
  place: { readonly reader: DiskMapReader; readonly level: number; readonly index: number },
  visitor: CountVisitor,
): Promise<void> {
  const { reader, level, index } = place
  if (level === 0) {
    const stored = index < reader.leafCount ? await reader.leaf(index, visitor.cancel) : null
    if (stored === null) return
    visitor.page(stored.ref)
    visitor.leaf(stored.leaf)
    return
  }
  const stored = await reader.inner({ level, index }, visitor.cancel)
  if (stored === null) return
  visitor.page(stored.ref)
  for (const [child, ref] of stored.page.refs.entries()) {
    if (ref !== null) await countBelow({ reader, level: level - 1, index: index * refsPerInner + child }, visitor)
  }
}

/** What a whole disk uses of each pack: to take out a disk that the VM no longer has, reads all its pages. */
export async function countDiskMap(options: MapOptions, cancel: Cancel): Promise<readonly PackDelta[]> {
  const tally = packTally()
  const reader = diskMapReader(options)
  await countBelow(
    { reader, level: rootLevelOf(options.disk), index: 0 },
    {
      page: tally.add,
      leaf: tally.addLeaf,
      cancel,
    },
  )
  return tally.deltas()
}
