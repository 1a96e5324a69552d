// The arithmetic of a disk's block map: how many leaves a disk has, how high its tree is. Pure.

import { chunksPerLeaf, refsPerInner } from '../wire/repository/page.ts'

export type DiskShape = { readonly capacityBytes: number; readonly chunkLog2: number }

export function chunkBytesOf(disk: { readonly chunkLog2: number }): number {
  return 2 ** disk.chunkLog2
}

export function leafSpanBytesOf(disk: { readonly chunkLog2: number }): number {
  return chunkBytesOf(disk) * chunksPerLeaf
}

export function leafCountOf(disk: DiskShape): number {
  return Math.ceil(disk.capacityBytes / leafSpanBytesOf(disk))
}

/** Leaves below one page of this level: 1 for a leaf (level 0). */
export function leavesBelow(level: number): number {
  return refsPerInner ** level
}

/** Level of the root: 0 when one leaf covers the disk, else the lowest that covers all leaves. */
export function rootLevelOf(disk: DiskShape): number {
  const leaves = leafCountOf(disk)
  let level = 0
  while (leavesBelow(level) < leaves) level++
  return level
}
