// Counting what a point uses of each pack: changes are summed beside the work, then merged into the parent's pack set.

import { assert } from '../base/errors.ts'
import type { PackId } from '../model/ids.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import type { PackUse } from '../wire/repository/pack-set.ts'
import type { Leaf } from '../wire/repository/page.ts'
import type { PackRef, RecordRef } from '../wire/repository/record-ref.ts'

/** References gained (positive) or lost (negative); structured clone carries it. */
export type PackDelta = { readonly pack: PackRef; readonly records: number; readonly bytes: number }

export interface PackTally {
  add(ref: RecordRef): void
  remove(ref: RecordRef): void
  addLeaf(leaf: Leaf): void
  removeLeaf(leaf: Leaf): void
  /** Adds another tally's sums. */
  merge(deltas: readonly PackDelta[]): void
  deltas(): readonly PackDelta[]
}

export function packTally(): PackTally {
  const sums = new Map<PackId, { readonly pack: PackRef; records: number; bytes: number }>()
  const count = (pack: PackRef, records: number, bytes: number) => {
    const sum = sums.get(pack.packId)
    if (sum === undefined) sums.set(pack.packId, { pack, records, bytes })
    else {
      sum.records += records
      sum.bytes += bytes
    }
  }
  const countLeaf = (leaf: Leaf, sign: 1 | -1) => {
    for (const entry of leaf.entries) if (entry !== null) count(entry.pack, sign, sign * entry.storedBytes)
  }
  return {
    add: (ref) => count(ref.pack, 1, ref.storedBytes),
    remove: (ref) => count(ref.pack, -1, -ref.storedBytes),
    addLeaf: (leaf) => countLeaf(leaf, 1),
    removeLeaf: (leaf) => countLeaf(leaf, -1),
    merge: (deltas) => {
      for (const delta of deltas) count(delta.pack, delta.records, delta.bytes)
    },
    deltas: () => [...sums.values()].filter((sum) => sum.records !== 0 || sum.bytes !== 0),
  }
}

/**
 * What the new point uses: the parent's uses and every change. Packs without a reference left are dropped.
 * @param base the parent's uses without its pack set's own parts; empty for a point without a parent
 * @returns ascending by packId
 * @throws BackupError `integrity` when more references are lost than there were
 */
export function mergePackUses(base: readonly PackUse[], deltas: readonly PackDelta[]): readonly PackUse[] {
  const uses = new Map<PackId, PackUse>(base.map((use) => [use.pack.packId, use]))
  for (const { pack, records, bytes } of deltas) {
    const use = uses.get(pack.packId)
    assert(use === undefined || use.pack.kind === pack.kind, 'a pack has one kind')
    const sum = { records: (use?.records ?? 0) + records, bytes: (use?.bytes ?? 0) + bytes }
    if (sum.records < 0 || sum.bytes < 0) {
      throw corrupt(`Cannot merge the pack set: pack "${pack.packId}" would have "${sum.records}" references`)
    }
    if (sum.records === 0) uses.delete(pack.packId)
    else uses.set(pack.packId, { pack, lockDay: use?.lockDay ?? 0, ...sum })
  }
  return [...uses.values()].toSorted((left, right) => (left.pack.packId < right.pack.packId ? -1 : 1))
}
