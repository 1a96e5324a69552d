// Puts the results of regions back into order, as they come, so that a map is written while its leaves are: memory is
// bounded by the regions under way, not by the disk.

import type { WrittenLeaf } from '../repository/disk-map-writer.ts'

export interface LeafStream {
  /** The leaves of region `order`; orders count up from 0 and each comes once. */
  put(order: number, leaves: readonly WrittenLeaf[]): void
  /** There are so many regions in all; some may still be under way. */
  end(regions: number): void
  fail(error: unknown): void
  /** The leaves in the order of their regions; for one reader. */
  leaves(): AsyncGenerator<WrittenLeaf>
}

export function leafStream(): LeafStream {
  const waiting = new Map<number, readonly WrittenLeaf[]>()
  let regions = Number.POSITIVE_INFINITY
  let failure: { readonly error: unknown } | null = null
  let wake: () => void = () => undefined
  return {
    put: (order, leaves) => {
      waiting.set(order, leaves)
      wake()
    },
    end: (count) => {
      regions = count
      wake()
    },
    fail: (error) => {
      failure = { error }
      wake()
    },
    leaves: async function* () {
      for (let order = 0; order < regions; ) {
        if (failure !== null) throw failure.error
        const ready = waiting.get(order)
        if (ready !== undefined) {
          waiting.delete(order)
          order++
          yield* ready
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
    },
  }
}
