// An object store that counts its calls and bytes: for tests, benchmarks and the cost of a run.

import type { ObjectStore } from '../../ports/object-store.ts'

export type StoreCounts = {
  readonly puts: number
  readonly putBytes: number
  readonly gets: number
  readonly getBytes: number
  readonly heads: number
  readonly lists: number
}

export type CountingStore = ObjectStore & { counts(): StoreCounts }

export function countingStore(inner: ObjectStore): CountingStore {
  let counts: StoreCounts = { puts: 0, putBytes: 0, gets: 0, getBytes: 0, heads: 0, lists: 0 }
  const add = (part: Partial<StoreCounts>) => {
    counts = {
      puts: counts.puts + (part.puts ?? 0),
      putBytes: counts.putBytes + (part.putBytes ?? 0),
      gets: counts.gets + (part.gets ?? 0),
      getBytes: counts.getBytes + (part.getBytes ?? 0),
      heads: counts.heads + (part.heads ?? 0),
      lists: counts.lists + (part.lists ?? 0),
    }
  }
  return {
    counts: () => counts,
    putIfAbsent: (object, cancel) => {
      add({ puts: 1, putBytes: object.bytes.byteLength })
      return inner.putIfAbsent(object, cancel)
    },
    get: async (key, cancel) => {
      const bytes = await inner.get(key, cancel)
      add({ gets: 1, getBytes: bytes?.byteLength ?? 0 })
      return bytes
    },
    getRange: (range, cancel) => {
      add({ gets: 1, getBytes: range.target.byteLength })
      return inner.getRange(range, cancel)
    },
    head: (key, cancel) => {
      add({ heads: 1 })
      return inner.head(key, cancel)
    },
    list: (prefix, cancel) => {
      add({ lists: 1 })
      return inner.list(prefix, cancel)
    },
  }
}
