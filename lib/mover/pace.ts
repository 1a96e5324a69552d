// The pace of one mover in shared memory: one thread sets it, all region workers keep it.

import type { Clock } from '../base/clock.ts'
import { FULL_PACE, restMs } from '../model/pace.ts'
import type { DiskSource } from '../ports/disk.ts'

export function paceMemory(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  setPace(memory, FULL_PACE)
  return memory
}

export function setPace(memory: SharedArrayBuffer, permille: number): void {
  Atomics.store(new Int32Array(memory), 0, permille)
}

/**
 * Each read is followed by a rest in proportion to its own time, before its place among the reads in flight is free again: slow
 * storage is left alone for longer, whatever its speed is.
 */
export function pacedSource(source: DiskSource, memory: SharedArrayBuffer, clock: Clock): DiskSource {
  const pace = new Int32Array(memory)
  return {
    access: source.access,
    capacityBytes: source.capacityBytes,
    readBytesMax: source.readBytesMax,
    readsMax: source.readsMax,
    read: async (range, cancel) => {
      const startedMs = clock.monotonicMs()
      await source.read(range, cancel)
      const ms = restMs(clock.monotonicMs() - startedMs, Atomics.load(pace, 0))
      if (ms > 0) await clock.sleep(ms, cancel)
    },
    allocation: (range, cancel) => source.allocation(range, cancel),
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
}
