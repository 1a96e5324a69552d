// How far each disk is: summed from the workers' reports, handed on as the attempt's record keeps it.

import type { DiskProgress } from '../model/job.ts'

export interface ProgressMeter {
  add(diskKey: number, doneBytes: number): void
  /** There is more to do than was known. */
  grow(diskKey: number, totalBytes: number): void
  snapshot(): readonly DiskProgress[]
}

/** @param onChange called after every report, with every disk */
export function progressMeter(
  disks: readonly Omit<DiskProgress, 'doneBytes'>[],
  onChange: (progress: readonly DiskProgress[]) => void,
): ProgressMeter {
  const doneBytes = new Map<number, number>(disks.map((disk) => [disk.key, 0]))
  const grownBytes = new Map<number, number>()
  const snapshot = () =>
    disks.map((disk) => {
      const totalBytes = disk.totalBytes + (grownBytes.get(disk.key) ?? 0)
      return { ...disk, totalBytes, doneBytes: Math.min(doneBytes.get(disk.key) ?? 0, totalBytes) }
    })
  onChange(snapshot())
  return {
    snapshot,
    grow: (diskKey, bytes) => {
      grownBytes.set(diskKey, (grownBytes.get(diskKey) ?? 0) + bytes)
      onChange(snapshot())
    },
    add: (diskKey, bytes) => {
      doneBytes.set(diskKey, (doneBytes.get(diskKey) ?? 0) + bytes)
      onChange(snapshot())
    },
  }
}
