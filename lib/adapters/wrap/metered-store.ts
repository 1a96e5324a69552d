// An object store whose requests and bytes a meter counts, as S3 prices them. A page of a list is 1,000 keys.

import type { Meter } from '../../ports/meter.ts'
import type { ObjectStore } from '../../ports/object-store.ts'

const KEYS_PER_PAGE = 1_000

/** Every call counts once, whatever the store does to answer it: what is tried again below is not seen. */
export function meteredStore(inner: ObjectStore, meter: Pick<Meter, 'add'>): ObjectStore {
  return {
    putIfAbsent: (object, cancel) => {
      meter.add({ storePuts: 1, storePutBytes: object.bytes.byteLength })
      return inner.putIfAbsent(object, cancel)
    },
    get: async (key, cancel) => {
      meter.add({ storeGets: 1 })
      const bytes = await inner.get(key, cancel)
      meter.add({ storeGetBytes: bytes?.byteLength ?? 0 })
      return bytes
    },
    getRange: (range, cancel) => {
      meter.add({ storeGets: 1, storeGetBytes: range.target.byteLength })
      return inner.getRange(range, cancel)
    },
    head: (key, cancel) => {
      meter.add({ storeGets: 1 })
      return inner.head(key, cancel)
    },
    list: async function* (prefix, cancel) {
      let keys = 0
      for await (const facts of inner.list(prefix, cancel)) {
        if (keys++ % KEYS_PER_PAGE === 0) meter.add({ storePuts: 1 })
        yield facts
      }
      if (keys === 0) meter.add({ storePuts: 1 })
    },
  }
}
