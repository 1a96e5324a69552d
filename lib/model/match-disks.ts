// Which disk of the parent point each disk continues: by its identity, not by its path. Pure.

import type { PointDisk } from './point.ts'
import type { VmDisk } from './vm.ts'

type KnownDisk = Pick<VmDisk, 'key' | 'uuid'>

/**
 * Each disk of the parent is continued once at most. A disk is known by its device key and backing uuid; by the uuid alone
 * where it hangs at another place now; by the key alone where nothing better is known: then it may be another disk, which
 * whoever reads it must see. A path says nothing: Storage vMotion changes it and leaves the disk what it is.
 * @returns by the device key that the disk has now
 */
export function matchDisks(disks: readonly KnownDisk[], before: readonly PointDisk[]): ReadonlyMap<number, PointDisk> {
  const matched = new Map<number, PointDisk>()
  const left = new Set(before)
  const rounds: readonly ((disk: KnownDisk, old: PointDisk) => boolean)[] = [
    (disk, old) => old.key === disk.key && sameUuid(disk, old),
    (disk, old) => sameUuid(disk, old),
    (disk, old) => old.key === disk.key,
  ]
  for (const fits of rounds) {
    for (const disk of disks) {
      if (matched.has(disk.key)) continue
      const found = [...left].filter((old) => fits(disk, old))
      // Two disks of one uuid tell nothing apart.
      if (found.length !== 1 || found[0] === undefined) continue
      matched.set(disk.key, found[0])
      left.delete(found[0])
    }
  }
  return matched
}

function sameUuid(disk: KnownDisk, old: PointDisk): boolean {
  return disk.uuid !== null && old.backingUuid === disk.uuid
}
