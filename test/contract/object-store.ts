// What every object store keeps. Run on each implementation, and on each wrapper around one.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasCode } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'

const cancel = { signal: new AbortController().signal }

export type OpenedStore = AsyncDisposable & { readonly store: ObjectStore }

async function keysOf(store: ObjectStore, prefix: string): Promise<readonly string[]> {
  const keys: string[] = []
  for await (const facts of store.list(prefix, cancel)) keys.push(facts.key)
  return keys
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

/** @param open a new, empty store */
export function objectStoreContract(name: string, open: () => Promise<OpenedStore>): void {
  describe(`object store: ${name}`, () => {
    it('gives back the bytes that were put, whole and by range', async () => {
      await using opened = await open()
      const { store } = opened
      const bytes = seededRandom(1).bytes(100_000)
      expect(await store.putIfAbsent({ key: 'p/0a/pack-1', bytes }, cancel)).toBe('stored')
      expect(Buffer.compare((await store.get('p/0a/pack-1', cancel)) ?? new Uint8Array(), bytes)).toBe(0)
      const target = new Uint8Array(1_000)
      await store.getRange({ key: 'p/0a/pack-1', offsetBytes: 99_000, target }, cancel)
      expect(Buffer.compare(target, bytes.subarray(99_000))).toBe(0)
    })

    it('keeps an empty object', async () => {
      await using opened = await open()
      const { store } = opened
      await store.putIfAbsent({ key: 'empty', bytes: new Uint8Array() }, cancel)
      expect((await store.get('empty', cancel))?.byteLength).toBe(0)
      expect((await store.head('empty', cancel))?.sizeBytes).toBe(0)
    })

    it('keeps the first of two objects of one key', async () => {
      await using opened = await open()
      const { store } = opened
      expect(await store.putIfAbsent({ key: 'r/vm/1', bytes: text('first') }, cancel)).toBe('stored')
      expect(await store.putIfAbsent({ key: 'r/vm/1', bytes: text('second') }, cancel)).toBe('exists')
      expect(Buffer.from((await store.get('r/vm/1', cancel)) ?? []).toString()).toBe('first')
    })

    it('tells exactly one of many at once that it stored, and keeps its bytes', async () => {
      await using opened = await open()
      const { store } = opened
      const outcomes = await Promise.all(
        Array.from({ length: 16 }, (_, i) => store.putIfAbsent({ key: 'race', bytes: text(`writer ${i}`) }, cancel)),
      )
      expect(outcomes.filter((outcome) => outcome === 'stored')).toHaveLength(1)
      const winner = outcomes.indexOf('stored')
      expect(Buffer.from((await store.get('race', cancel)) ?? []).toString()).toBe(`writer ${winner}`)
    })

    it('answers null for a key that is not there, also beside and below keys that are', async () => {
      await using opened = await open()
      const { store } = opened
      await store.putIfAbsent({ key: 'a/b/c', bytes: text('x') }, cancel)
      for (const key of ['a', 'a/b', 'a/b/c/d', 'a/b/d', 'z']) {
        expect(await store.get(key, cancel)).toBeNull()
        expect(await store.head(key, cancel)).toBeNull()
      }
    })

    it('does not keep the caller’s buffer, and gives a buffer of the caller’s own', async () => {
      await using opened = await open()
      const { store } = opened
      const bytes = text('before')
      await store.putIfAbsent({ key: 'k', bytes }, cancel)
      bytes.fill(0)
      const once = (await store.get('k', cancel)) ?? new Uint8Array()
      once.fill(1)
      expect(Buffer.from((await store.get('k', cancel)) ?? []).toString()).toBe('before')
    })

    it('refuses a range that is missing or not whole inside the object', async () => {
      await using opened = await open()
      const { store } = opened
      await store.putIfAbsent({ key: 'short', bytes: text('12345') }, cancel)
      const read = (key: string, offsetBytes: number, lengthBytes: number) =>
        store.getRange({ key, offsetBytes, target: new Uint8Array(lengthBytes) }, cancel)
      await expect(read('short', 3, 3)).rejects.toSatisfy((error) => hasCode(error, 'object-short'))
      await expect(read('short', 9, 1)).rejects.toSatisfy((error) => hasCode(error, 'object-short'))
      await expect(read('gone', 0, 1)).rejects.toSatisfy((error) => hasCode(error, 'object-missing'))
      await expect(read('short', 0, 5)).resolves.toBeUndefined()
    })

    it('knows size and time of an object', async () => {
      await using opened = await open()
      const { store } = opened
      await store.putIfAbsent({ key: 'sized', bytes: new Uint8Array(77) }, cancel)
      const facts = await store.head('sized', cancel)
      expect(facts).toMatchObject({ key: 'sized', sizeBytes: 77 })
      expect(facts?.modifiedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
    })

    it('lists every key of a prefix in ascending order of bytes', async () => {
      await using opened = await open()
      const { store } = opened
      const part = fc.string({ unit: fc.constantFrom('a', 'B', '0', '-', '.', '_'), minLength: 1, maxLength: 3 })
      const keyText = fc
        .array(
          part.filter((name) => name !== '.' && name !== '..'),
          { minLength: 1, maxLength: 3 },
        )
        .map((parts) => parts.join('/'))
      const put = new Set<string>()
      for (const key of fc.sample(keyText, { numRuns: 60, seed: 4 })) {
        // A key that is the folder of another is nothing that a folder can keep; the repository has none.
        const clash = [...put].some((other) => other.startsWith(`${key}/`) || key.startsWith(`${other}/`))
        if (clash || put.has(key)) continue
        put.add(key)
        await store.putIfAbsent({ key, bytes: text(key) }, cancel)
      }
      const sorted = [...put].sort((left, right) => Buffer.compare(text(left), text(right)))
      for (const prefix of ['', 'a', 'a/', 'a-', 'B', '0/', 'zzz', 'a/a/']) {
        expect(await keysOf(store, prefix)).toEqual(sorted.filter((key) => key.startsWith(prefix)))
      }
    })

    it('refuses keys and prefixes that could lead elsewhere', async () => {
      await using opened = await open()
      const { store } = opened
      for (const key of [
        '',
        '/a',
        'a/',
        'a//b',
        '.',
        '..',
        'a/../b',
        '../x',
        'a\\b',
        'a\0b',
        'ä',
        'a b',
        'x'.repeat(513),
      ]) {
        const bytes = new Uint8Array(1)
        await expect(store.putIfAbsent({ key, bytes }, cancel)).rejects.toSatisfy((error) =>
          hasCode(error, 'malformed'),
        )
        await expect(store.get(key, cancel)).rejects.toSatisfy((error) => hasCode(error, 'malformed'))
      }
      await expect(keysOf(store, '../')).rejects.toSatisfy((error) => hasCode(error, 'malformed'))
      await expect(keysOf(store, '/')).rejects.toSatisfy((error) => hasCode(error, 'malformed'))
    })

    it('does nothing once it is cancelled', async () => {
      await using opened = await open()
      const { store } = opened
      const stop = new AbortController()
      stop.abort(new DOMException('enough', 'AbortError'))
      const put = store.putIfAbsent({ key: 'late', bytes: text('x') }, stop)
      await expect(put).rejects.toThrow('enough')
      await expect(store.get('late', stop)).rejects.toThrow()
      expect(await store.get('late', cancel)).toBeNull()
    })
  })
}
