// A map that forgets what was not asked for longest, bounded by weight; and promises kept in it.

import { type Cancel, isAbort } from '../base/time-limit.ts'

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

/**
 * Keeps the promise of what is loaded, so that two who ask at once load once. A failed one is forgotten, and one that
 * was only cancelled by another asker is loaded again.
 */
export async function remember<Key, Value>(
  cache: Lru<Key, Promise<Value>>,
  key: Key,
  entry: { readonly cancel: Cancel; readonly weight?: number; readonly load: () => Promise<Value> },
): Promise<Value> {
  const kept = cache.get(key)
  if (kept !== undefined) {
    try {
      return await kept
    } catch (error) {
      if (!isAbort(error) || entry.cancel.signal.aborted) throw error
    }
  }
  const loading = entry.load()
  cache.set(key, loading, entry.weight ?? 1)
  loading.catch(() => {
    if (cache.get(key) === loading) cache.delete(key)
  })
  return loading
}
