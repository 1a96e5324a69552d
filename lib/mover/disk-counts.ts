// What a point says of each disk: how it was read, and what reading and storing it took, summed over its regions.

import type { PointDisk } from '../model/point.ts'
import { causeOf, type DiskReading, reasonOf } from './readings.ts'
import type { RegionDone } from './region-worker.ts'

export interface DiskCounts {
  add(done: RegionDone): void
  pointDisks(): readonly PointDisk[]
}

export function diskCounts(readings: readonly DiskReading[]): DiskCounts {
  const none = { readBytes: 0, newChunks: 0, newPlainBytes: 0, newStoredBytes: 0 }
  const sums = new Map(readings.map((reading) => [reading.disk.key, none]))
  return {
    add: ({ diskKey, readBytes, counts }) => {
      const sum = sums.get(diskKey) ?? none
      sums.set(diskKey, {
        readBytes: sum.readBytes + readBytes,
        newChunks: sum.newChunks + counts.newChunks,
        newPlainBytes: sum.newPlainBytes + counts.newPlainBytes,
        newStoredBytes: sum.newStoredBytes + counts.newStoredBytes,
      })
    },
    pointDisks: () =>
      readings.map(({ disk, chunkLog2, reading, transport }) => ({
        key: disk.key,
        label: disk.label,
        capacityBytes: disk.capacityBytes,
        chunkLog2,
        fileName: disk.fileName,
        backingUuid: disk.uuid,
        changeId: disk.changeId,
        readMode: reading.kind,
        readModeReason: reasonOf(reading),
        readModeCode: causeOf(reading),
        transport,
        ...(sums.get(disk.key) ?? none),
      })),
  }
}
