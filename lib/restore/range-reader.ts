// Reads ranges of one disk of a point as verified plain bytes. Owns its caches; runs in a thread, or in this one.

import type { Cancel } from '../base/time-limit.ts'
import type { Extent } from '../model/extent.ts'
import type { VmId } from '../model/ids.ts'
import type { ObjectStore } from '../ports/object-store.ts'
import type { MapOptions } from '../repository/disk-map-reader.ts'
import { diskReader } from '../repository/disk-reader.ts'
import type { RepositoryData } from '../repository/repository.ts'

/** Plain data: structured clone carries it to a thread. */
export type RangePlan = {
  readonly repository: RepositoryData
  readonly domain: VmId
  readonly disk: MapOptions['disk']
}

/** Verified bytes of one run; what no run of a range covers reads as zero. */
export type DataRun = { readonly offsetBytes: number; readonly bytes: Uint8Array<ArrayBuffer> }

export interface RangeReader extends AsyncDisposable {
  /** Ascending, disjoint, inside the range. Ranges may be read side by side. @throws BackupError `integrity` */
  read(range: Extent, cancel: Cancel): Promise<readonly DataRun[]>
}

export function openRangeReader(plan: RangePlan, store: ObjectStore): RangeReader {
  const { domain, disk } = plan
  const reader = diskReader({ repository: { ...plan.repository, store }, domain, disk, cacheBytesMax: 0 })
  return {
    read: async (range, cancel) => {
      const runs: DataRun[] = []
      for await (const run of reader.runs(range, cancel)) {
        if (run.kind === 'data') runs.push({ offsetBytes: run.offsetBytes, bytes: ownBytes(run.bytes) })
      }
      return runs
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

/** Bytes that alone fill their buffer, so that the buffer can be transferred. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes
  const alone = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength
  return alone ? new Uint8Array(buffer) : new Uint8Array(bytes)
}
