// What a point says of each disk: how it was read, and what reading and storing it took, summed over its regions.

import type { DiskAudit, PointDisk } from '../model/point.ts'
import type { Audited } from './audit-disks.ts'
import { causeOf, type DiskReading, reasonOf } from './readings.ts'
import type { RegionDone } from './region-worker.ts'

export interface DiskCounts {
  add(done: RegionDone): void
  /** @param audited the readings as they were in the end */
  pointDisks(audited: Audited): readonly PointDisk[]
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
    pointDisks: ({ readings: final, audits }) =>
      final.map(({ disk, chunkLog2, reading, transport }) => ({
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
        audit: audits.get(disk.key) ?? null,
        ...withAudit(sums.get(disk.key) ?? none, audits.get(disk.key)),
      })),
  }
}

function withAudit<Sum extends { readonly readBytes: number }>(sum: Sum, audit: DiskAudit | undefined): Sum {
  return audit === undefined ? sum : { ...sum, readBytes: sum.readBytes + audit.readBytes }
}
