// The bytes of one layer of a simulated disk, kept sparsely by grains, in memory or in a nameless sparse file.

import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { assert } from '../../lib/base/errors.ts'

/** The unit of copy-on-write and of changed block tracking. */
export const GRAIN_BYTES = 64 * 1024

/** Sparse bytes; what was never written reads as zeros. Offsets and lengths must lie inside the capacity. */
export interface GrainStore extends Disposable {
  readonly capacityBytes: number
  readonly grainCount: number
  /** Whether anything was ever written into this grain. */
  has(grain: number): boolean
  /** How many grains were written. */
  presentCount(): number
  read(range: { readonly offsetBytes: number; readonly target: Uint8Array }): void
  write(range: { readonly offsetBytes: number; readonly bytes: Uint8Array }): void
}

/** Makes stores; `label` names the backing file while it is being opened. */
export type StoreMaker = (options: { readonly capacityBytes: number; readonly label: string }) => GrainStore

/** Stores in the given directory, or in memory when it is null. */
export function storeMaker(directory: string | null): StoreMaker {
  let opened = 0
  return ({ capacityBytes, label }) =>
    directory === null
      ? memoryStore(capacityBytes)
      : fileStore({ capacityBytes, path: join(directory, `${label}.${process.pid}.${opened++}`) })
}

export function memoryStore(capacityBytes: number): GrainStore {
  const grains = new Map<number, Uint8Array>()
  return {
    capacityBytes,
    grainCount: Math.ceil(capacityBytes / GRAIN_BYTES),
    has: (grain) => grains.has(grain),
    presentCount: () => grains.size,
    read: ({ offsetBytes, target }) => {
      checkRange({ offsetBytes, lengthBytes: target.byteLength, capacityBytes })
      for (const piece of piecesOf(offsetBytes, target.byteLength)) {
        const bytes = grains.get(piece.grain)
        const part = target.subarray(piece.done, piece.done + piece.lengthBytes)
        if (bytes === undefined) part.fill(0)
        else part.set(bytes.subarray(piece.inGrain, piece.inGrain + piece.lengthBytes))
      }
    },
    write: ({ offsetBytes, bytes }) => {
      checkRange({ offsetBytes, lengthBytes: bytes.byteLength, capacityBytes })
      for (const piece of piecesOf(offsetBytes, bytes.byteLength)) {
        const grain = grains.get(piece.grain) ?? new Uint8Array(GRAIN_BYTES)
        grains.set(piece.grain, grain)
        grain.set(bytes.subarray(piece.done, piece.done + piece.lengthBytes), piece.inGrain)
      }
    },
    [Symbol.dispose]: () => grains.clear(),
  }
}

/** A sparse file that is unlinked as soon as it is open: a killed simulator leaves nothing behind. */
export function fileStore(options: { readonly capacityBytes: number; readonly path: string }): GrainStore {
  const { capacityBytes, path } = options
  const file = openSync(path, 'wx+', 0o600)
  unlinkSync(path)
  ftruncateSync(file, capacityBytes)
  const grainCount = Math.ceil(capacityBytes / GRAIN_BYTES)
  const present = new Uint8Array(grainCount)
  let presentCount = 0
  let open = true
  return {
    capacityBytes,
    grainCount,
    has: (grain) => present[grain] === 1,
    presentCount: () => presentCount,
    read: ({ offsetBytes, target }) => {
      checkRange({ offsetBytes, lengthBytes: target.byteLength, capacityBytes })
      for (let done = 0; done < target.byteLength; ) {
        const count = readSync(file, target, done, target.byteLength - done, offsetBytes + done)
        assert(count > 0, 'a sparse file is as long as its disk')
        done += count
      }
    },
    write: ({ offsetBytes, bytes }) => {
      checkRange({ offsetBytes, lengthBytes: bytes.byteLength, capacityBytes })
      for (let done = 0; done < bytes.byteLength; ) {
        done += writeSync(file, bytes, done, bytes.byteLength - done, offsetBytes + done)
      }
      for (const { grain } of piecesOf(offsetBytes, bytes.byteLength)) {
        presentCount += 1 - (present[grain] ?? 0)
        present[grain] = 1
      }
    },
    [Symbol.dispose]: () => {
      if (open) closeSync(file)
      open = false
    },
  }
}

/** A range cut at grain borders; `done` counts the bytes before this piece. */
export function* piecesOf(
  offsetBytes: number,
  lengthBytes: number,
): Generator<{
  readonly grain: number
  readonly inGrain: number
  readonly done: number
  readonly lengthBytes: number
}> {
  for (let done = 0; done < lengthBytes; ) {
    const grain = Math.floor((offsetBytes + done) / GRAIN_BYTES)
    const inGrain = (offsetBytes + done) % GRAIN_BYTES
    const length = Math.min(GRAIN_BYTES - inGrain, lengthBytes - done)
    yield { grain, inGrain, done, lengthBytes: length }
    done += length
  }
}

function checkRange(range: {
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly capacityBytes: number
}) {
  const inside = range.offsetBytes >= 0 && range.offsetBytes + range.lengthBytes <= range.capacityBytes
  assert(inside, `${range.offsetBytes}+${range.lengthBytes} lies inside a disk of ${range.capacityBytes} bytes`)
}
