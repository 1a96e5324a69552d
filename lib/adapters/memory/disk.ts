// Disks in memory, for tests and small things: a source over given bytes, and a target that shows what was written.

import { isAllZero, MiB } from '../../base/bytes.ts'
import { assert } from '../../base/errors.ts'
import type { Allocation, DiskSource, DiskTarget } from '../../ports/disk.ts'

export type MemoryDiskOptions = {
  /** Default 4 MiB. */
  readonly readBytesMax?: number
  /** Runs of zeros are found in blocks of this; default 4096. */
  readonly allocationBlockBytes?: number
}

/** A source over `image`, which is not copied: what changes in it is seen. */
export function memoryDisk(image: Uint8Array, options: MemoryDiskOptions = {}): DiskSource {
  const capacityBytes = image.byteLength
  const readBytesMax = options.readBytesMax ?? 4 * MiB
  const blockBytes = options.allocationBlockBytes ?? 4096
  let disposed = false
  const check = (offsetBytes: number, lengthBytes: number) => {
    assert(!disposed, 'a disposed source is not read')
    assert(isInside({ offsetBytes, lengthBytes, capacityBytes }), 'a range lies inside the disk')
  }
  return {
    access: 'random',
    capacityBytes,
    readBytesMax,
    readsMax: 64,
    read: async ({ offsetBytes, target }, { signal }) => {
      check(offsetBytes, target.byteLength)
      assert(target.byteLength <= readBytesMax, 'a read is no longer than readBytesMax')
      signal.throwIfAborted()
      target.set(image.subarray(offsetBytes, offsetBytes + target.byteLength))
    },
    allocation: async ({ offsetBytes, lengthBytes }, { signal }) => {
      check(offsetBytes, lengthBytes)
      signal.throwIfAborted()
      const runs: Allocation[] = []
      const end = offsetBytes + lengthBytes
      for (let at = offsetBytes; at < end; ) {
        const next = Math.min(at - (at % blockBytes) + blockBytes, end)
        const kind = isAllZero(image.subarray(at, next)) ? 'zero' : 'data'
        const last = runs.at(-1)
        if (last?.kind === kind) runs[runs.length - 1] = { ...last, lengthBytes: next - last.offsetBytes }
        else runs.push({ offsetBytes: at, lengthBytes: next - at, kind })
        at = next
      }
      return runs
    },
    [Symbol.asyncDispose]: async () => {
      disposed = true
    },
  }
}

export type MemoryTarget = DiskTarget & {
  /** The disk as it is now; zero where nothing was written. */
  bytes(): Uint8Array
  committed(): boolean
}

/** A target of `capacityBytes` in memory. */
export function memoryTarget(capacityBytes: number): MemoryTarget {
  const image = new Uint8Array(capacityBytes)
  let state: 'open' | 'committed' | 'disposed' = 'open'
  return {
    capacityBytes,
    bytes: () => image,
    committed: () => state === 'committed',
    write: async ({ offsetBytes, bytes }, { signal }) => {
      assert(state === 'open', 'a finished target is not written')
      const lengthBytes = bytes.byteLength
      assert(isInside({ offsetBytes, lengthBytes, capacityBytes }), 'a range lies inside the disk')
      signal.throwIfAborted()
      image.set(bytes, offsetBytes)
    },
    commit: async ({ signal }) => {
      assert(state === 'open', 'a target is committed once')
      signal.throwIfAborted()
      state = 'committed'
    },
    [Symbol.asyncDispose]: async () => {
      if (state === 'open') state = 'disposed'
    },
  }
}

function isInside(range: {
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly capacityBytes: number
}): boolean {
  const { offsetBytes, lengthBytes, capacityBytes } = range
  return Number.isSafeInteger(offsetBytes) && offsetBytes >= 0 && offsetBytes + lengthBytes <= capacityBytes
}
