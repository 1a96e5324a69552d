// A map that forgets what was not asked for longest, bounded by weight.

export interface Lru<Key, Value> {
  get(key: Key): Value | undefined
  set(key: Key, value: Value, weight: number): void
  delete(key: Key): void
}

export function lru<Key, Value>(weightMax: number): Lru<Key, Value> {
  const entries = new Map<Key, { readonly value: Value; readonly weight: number }>()
  let weightNow = 0
  const drop = (key: Key) => {
    weightNow -= entries.get(key)?.weight ?? 0
    entries.delete(key)
  }
  return {
    get: (key) => {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      entries.set(key, entry)
      return entry.value
    },
    set: (key, value, weight) => {
      drop(key)
      entries.set(key, { value, weight })
      weightNow += weight
      for (const oldest of entries.keys()) {
        if (weightNow <= weightMax || oldest === key) break
        drop(oldest)
      }
    },
    delete: drop,
  }
}
