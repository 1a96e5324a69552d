import { describe, expect, it } from 'vitest'
import { type MemoryObjectStore, memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { failFrom, faultyStore } from '../../lib/adapters/wrap/faulty-store.ts'
import { utf8Decode, utf8Encode } from '../../lib/base/bytes.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { BackupError, hasCode } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { KeyWrapper } from '../../lib/ports/keys.ts'
import { sealJson } from '../../lib/repository/authentic-json.ts'
import { createRepository, openRepository } from '../../lib/repository/open-repository.ts'
import { cancel, testRepository, wrapperFor } from './kit.ts'

const memory = () => memoryObjectStore({ clock: manualClock() })
const coded = (code: string) => (error: unknown) => hasCode(error, code)

function create(store: MemoryObjectStore, seed: number, passphrase = 'correct horse') {
  const random = seededRandom(seed)
  return createRepository({ store, wrappers: [wrapperFor(passphrase, random)], random, clock: manualClock() }, cancel)
}

function rewrite(store: MemoryObjectStore, key: string, change: (text: string) => string): void {
  const object = store.objects.get(key)
  if (object === undefined) throw new Error(`No ${key}`)
  store.objects.set(key, { ...object, bytes: utf8Encode(change(utf8Decode(object.bytes))) })
}

describe('opening a repository', () => {
  it('gives the keys and settings that it was created with', async () => {
    const store = memory()
    const created = await create(store, 1)
    const opened = await openRepository({ store, wrappers: [wrapperFor('correct horse')] }, cancel)
    expect(opened.id).toBe(created.id)
    expect(opened.settings).toEqual(created.settings)
    expect(opened.keys).toEqual(created.keys)
    expect(structuredClone(opened.keys)).toEqual(opened.keys)
  })

  it('says that there is none in an empty store', async () => {
    await expect(openRepository({ store: memory(), wrappers: [] }, cancel)).rejects.toSatisfy(
      coded('repository-missing'),
    )
  })

  it('refuses another passphrase, and one of several right ones is enough', async () => {
    const store = memory()
    await create(store, 1)
    const wrong = openRepository({ store, wrappers: [wrapperFor('battery staple')] }, cancel)
    await expect(wrong).rejects.toSatisfy(coded('repository-key'))
    const wrappers = [wrapperFor('battery staple'), wrapperFor('correct horse')]
    await expect(openRepository({ store, wrappers }, cancel)).resolves.toBeDefined()
  })

  it('by passphrase works while a key service does not answer', async () => {
    const store = memory()
    const random = seededRandom(1)
    const cloud: KeyWrapper = { kind: 'kms', wrap: async (key) => key, unwrap: async (blob) => blob }
    const wrappers = [cloud, wrapperFor('correct horse', random)]
    await createRepository({ store, wrappers, random, clock: manualClock() }, cancel)
    const silent: KeyWrapper = {
      ...cloud,
      unwrap: async () => {
        throw new BackupError('Cannot reach the key service', { code: 'key-service-failed', retry: 'later' })
      },
    }
    await expect(openRepository({ store, wrappers: [silent, ...wrappers.slice(1)] }, cancel)).resolves.toBeDefined()
    const alone = openRepository({ store, wrappers: [silent] }, cancel)
    await expect(alone).rejects.toSatisfy(coded('key-service-failed'))
  })

  it('refuses a newer version and an unknown required feature, and says so', async () => {
    for (const change of [
      (text: string) => text.replace('"version":1', '"version":2'),
      (text: string) => text.replace('"required":[]', '"required":["dedupe-index"]'),
    ]) {
      const store = memory()
      await create(store, 1)
      rewrite(store, 'repo/1.json', change)
      const opening = openRepository({ store, wrappers: [wrapperFor('correct horse')] }, cancel)
      await expect(opening).rejects.toSatisfy(coded('repository-version'))
    }
  })

  it('refuses settings that were changed by somebody without the key', async () => {
    const store = memory()
    await create(store, 1)
    rewrite(store, 'repo/1.json', (text) => text.replace('"chunkLog2":18', '"chunkLog2":20'))
    const opening = openRepository({ store, wrappers: [wrapperFor('correct horse')] }, cancel)
    await expect(opening).rejects.toSatisfy(coded('integrity'))
  })

  it('follows the highest settings that are authentic, and passes over forged ones', async () => {
    const store = memory()
    const { keys, settings } = await create(store, 1)
    const put = (key: string, bytes: Uint8Array) => store.putIfAbsent({ key, bytes }, cancel)
    const value = { document: 'settings', ...settings, chunkLog2: 20 }
    await put('repo/2.json', sealJson(keys, { kid: keys.kid, value }))
    await put('repo/3.json', utf8Encode('{"format":"coldframe-repository","version":1,"required":[]}'))
    await put('repo/notes.txt', utf8Encode('not ours'))
    const opened = await openRepository({ store, wrappers: [wrapperFor('correct horse')] }, cancel)
    expect(opened.settings.chunkLog2).toBe(20)
  })
})

describe('creating a repository', () => {
  it('twice at once makes one: one creates, the other opens it', async () => {
    for (let seed = 0; seed < 5; seed++) {
      const store = memory()
      const [left, right] = await Promise.all([create(store, seed), create(store, seed + 100)])
      expect(left.id).toBe(right.id)
      expect(left.keys).toEqual(right.keys)
      expect([...store.objects.keys()].filter((key) => key.startsWith('repo/'))).toEqual(['repo/1.json'])
    }
  })

  it('where there is one opens it, and needs its passphrase', async () => {
    const store = memory()
    const first = await create(store, 1)
    expect((await create(store, 2)).id).toBe(first.id)
    await expect(create(store, 3, 'battery staple')).rejects.toSatisfy(coded('repository-key'))
  })

  it('broken off at any call leaves none or a whole one, and is repeated without harm', async () => {
    for (let call = 1; call < 10; call++) {
      const store = memory()
      const random = seededRandom(call)
      const wrappers = [wrapperFor('correct horse', random)]
      const first = createRepository(
        { store: faultyStore(store, failFrom(call)), wrappers, random, clock: manualClock() },
        cancel,
      )
      await first.catch(() => undefined)
      const second = await create(store, call + 100)
      expect((await openRepository({ store, wrappers }, cancel)).id).toBe(second.id)
    }
  })

  it('is refused without a key of one’s own, or with a wrapper that does not unwrap what it wrapped', async () => {
    const cloud: KeyWrapper = { kind: 'kms', wrap: async (key) => key, unwrap: async (blob) => blob }
    const broken: KeyWrapper = { kind: 'passphrase', wrap: async (key) => key, unwrap: async () => null }
    for (const wrappers of [[], [cloud], [broken]]) {
      const store = memory()
      const creating = createRepository({ store, wrappers, random: seededRandom(1), clock: manualClock() }, cancel)
      await expect(creating).rejects.toSatisfy(coded('repository-key'))
      expect([...store.objects.keys()]).toEqual([])
    }
  })

  it('draws keys that no other has', async () => {
    const [left, right] = [
      await testRepository(memory(), seededRandom(1)),
      await testRepository(memory(), seededRandom(2)),
    ]
    expect(left.keys.masters).not.toEqual(right.keys.masters)
    expect(left.keys.chunkIdRoot).not.toEqual(right.keys.chunkIdRoot)
  })
})
