// An object store in memory: for tests and simulations. Gives and takes copies, as a real one does.

import { type Clock, isoTime } from '../../base/clock.ts'
import { ascending } from '../../base/text.ts'
import type { ObjectFacts, ObjectStore } from '../../ports/object-store.ts'
import { checkObjectKey, checkObjectPrefix, objectMissing, objectShort } from '../../wire/repository/object-key.ts'

export type MemoryObjectStore = ObjectStore & {
  /** Every object as it is kept: for tests that damage or count them. */
  readonly objects: Map<string, { readonly bytes: Uint8Array; readonly modifiedAt: string }>
}

export function memoryObjectStore(options: { readonly clock: Pick<Clock, 'nowMs'> }): MemoryObjectStore {
  const objects: MemoryObjectStore['objects'] = new Map()
  const factsOf = (key: string): ObjectFacts | null => {
    const object = objects.get(key)
    return object === undefined ? null : { key, sizeBytes: object.bytes.byteLength, modifiedAt: object.modifiedAt }
  }
  return {
    objects,
    async putIfAbsent({ key, bytes }, { signal }) {
      checkObjectKey(key)
      signal.throwIfAborted()
      if (objects.has(key)) return 'exists'
      objects.set(key, { bytes: Uint8Array.from(bytes), modifiedAt: isoTime(options.clock.nowMs()) })
      return 'stored'
    },
    async get(key, { signal }) {
      checkObjectKey(key)
      signal.throwIfAborted()
      const object = objects.get(key)
      return object === undefined ? null : Uint8Array.from(object.bytes)
    },
    async getRange({ key, offsetBytes, target }, { signal }) {
      checkObjectKey(key)
      signal.throwIfAborted()
      const object = objects.get(key)
      if (object === undefined) throw objectMissing(key)
      const sizeBytes = object.bytes.byteLength
      if (offsetBytes + target.byteLength > sizeBytes) {
        throw objectShort({ key, offsetBytes, lengthBytes: target.byteLength, sizeBytes })
      }
      target.set(object.bytes.subarray(offsetBytes, offsetBytes + target.byteLength))
    },
    async head(key, { signal }) {
      checkObjectKey(key)
      signal.throwIfAborted()
      return factsOf(key)
    },
    async *list(prefix, { signal }) {
      checkObjectPrefix(prefix)
      signal.throwIfAborted()
      // Keys are ASCII: the order of UTF-16 units is the order of UTF-8 bytes.
      for (const key of [...objects.keys()].filter((candidate) => candidate.startsWith(prefix)).toSorted(ascending)) {
        signal.throwIfAborted()
        const facts = factsOf(key)
        if (facts !== null) yield facts
      }
    },
  }
}
