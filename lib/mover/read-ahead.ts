// Reads pieces of a disk ahead of their use: several in flight, bounded by bytes and count, handed out in order.

import { assert } from '../base/errors.ts'
import { anySignal, type Cancel } from '../base/time-limit.ts'
import { NFC_READ_BYTES_MAX } from '../model/admission.ts'
import { cutExtents, type Extent } from '../model/extent.ts'
import type { DiskSource } from '../ports/disk.ts'

export type Piece = { readonly offsetBytes: number; readonly bytes: Uint8Array }

export type ReadAheadOptions = {
  /** No piece is longer; a whole number of chunks, so that no chunk lies in two pieces. */
  readonly pieceBytesMax: number
  /** At least pieceBytesMax; kept by the caller from one run to the next. Bounds the bytes in flight. */
  readonly arena: Uint8Array
  /** Reads in flight: one that has ended and waits for its use is none. */
  readonly readsMax: number
  /** Its bytes are the caller's until this returns. */
  readonly use: (piece: Piece) => void | Promise<void>
}

type Read = {
  readonly piece: Piece
  readonly outcome: Promise<{ readonly error: unknown } | null>
  readonly heldBytes: number
}

/**
 * Calls `use` for each piece of `extents`, in order. On a failure the reads in flight are cancelled and have settled
 * before it is thrown.
 */
export async function forEachPiece(
  task: { readonly source: DiskSource; readonly extents: readonly Extent[] },
  options: ReadAheadOptions & Cancel,
): Promise<void> {
  const { source } = task
  const { use, readsMax } = options
  const stop = new AbortController()
  const signal = anySignal([options.signal, stop.signal])
  const pieces = cutExtents(task.extents, options.pieceBytesMax)
  const ring = ringOf(options.arena)
  const reads: Read[] = []
  let next = 0
  let inFlight = 0
  const fill = () => {
    if (stop.signal.aborted) return
    for (let extent = pieces[next]; extent !== undefined && inFlight < readsMax; extent = pieces[next]) {
      const place = ring.take(extent.lengthBytes)
      if (place === null) return
      next++
      const piece = { offsetBytes: extent.offsetBytes, bytes: place.bytes }
      inFlight++
      const outcome = readWhole(source, piece, { signal }).then(
        () => {
          inFlight--
          fill()
          return null
        },
        (error: unknown) => ({ error }),
      )
      reads.push({ piece, outcome, heldBytes: place.heldBytes })
    }
  }
  try {
    for (fill(); reads[0] !== undefined; fill()) {
      const failure = await reads[0].outcome
      if (failure !== null) throw failure.error
      signal.throwIfAborted()
      const used = use(reads[0].piece)
      if (used !== undefined) await used
      ring.give(reads[0].heldBytes)
      reads.shift()
    }
  } finally {
    stop.abort(new DOMException('Reading ended', 'AbortError'))
    await Promise.all(reads.map(({ outcome }) => outcome))
  }
}

/** One piece in as many calls as the source's limit needs. */
async function readWhole(source: DiskSource, piece: Piece, cancel: Cancel): Promise<void> {
  const { offsetBytes, bytes } = piece
  // A grant counts in reads of this size, whatever a source would answer.
  const readBytesMax = Math.min(source.readBytesMax, NFC_READ_BYTES_MAX)
  for (let done = 0; done < bytes.byteLength; done += readBytesMax) {
    const target = bytes.subarray(done, Math.min(done + readBytesMax, bytes.byteLength))
    await source.read({ offsetBytes: offsetBytes + done, target }, cancel)
  }
}

/** Contiguous places of a buffer, given back in the order they were taken. */
function ringOf(arena: Uint8Array) {
  let head = 0
  let free = arena.byteLength
  return {
    take(lengthBytes: number): { readonly bytes: Uint8Array; readonly heldBytes: number } | null {
      assert(lengthBytes <= arena.byteLength, 'a piece fits into the arena')
      if (free === arena.byteLength) head = 0
      // A place does not wrap: the rest before the buffer's end is skipped and held with it.
      const wraps = head + lengthBytes > arena.byteLength
      const skipped = wraps ? arena.byteLength - head : 0
      if (skipped + lengthBytes > free) return null
      if (wraps) head = 0
      const bytes = arena.subarray(head, head + lengthBytes)
      head += lengthBytes
      free -= skipped + lengthBytes
      return { bytes, heldBytes: skipped + lengthBytes }
    },
    give(heldBytes: number) {
      free += heldBytes
    },
  }
}
