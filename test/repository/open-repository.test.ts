import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type MemoryObjectStore, memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { failCall, failFrom, faultyStore } from '../../lib/adapters/wrap/faulty-store.ts'
import { utf8Decode, utf8Encode } from '../../lib/base/bytes.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { BackupError, hasCode } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { KeyWrapper } from '../../lib/ports/keys.ts'
import { sealJson } from '../../lib/repository/authentic-json.ts'
import { createRepository, openRepository } from '../../lib/repository/open-repository.ts'
import type { Repository } from '../../lib/repository/repository.ts'
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

async function put(store: MemoryObjectStore, key: string, text: string): Promise<void> {
  await store.putIfAbsent({ key, bytes: utf8Encode(text) }, cancel)
}

function textAt(store: MemoryObjectStore, key: string): string {
  return utf8Decode(store.objects.get(key)?.bytes ?? new Uint8Array())
}

/** As whoever holds the keys writes them. */
async function putSettings(
  { store, keys, settings }: Repository,
  change: { readonly number: number } & Readonly<Record<string, unknown>>,
): Promise<void> {
  const value = { document: 'settings', ...settings, ...change }
  const key = `repo/${change.number}.json`
  await store.putIfAbsent({ key, bytes: sealJson(keys, { kid: keys.kid, value }) }, cancel)
}

/** With the checksum that wrapped keys need, which everybody can make. */
function withChecksum(text: string): string {
  const covered = text.replace(/,"sha256":"[0-9a-f]{64}"}$/, '}')
  if (covered === text) return text
  return `${covered.slice(0, -1)},"sha256":"${createHash('sha256').update(covered).digest('hex')}"}`
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
    for (const change of [{ version: 2 }, { required: ['dedupe-index'] }]) {
      const store = memory()
      const created = await create(store, 1)
      await putSettings(created, { ...change, number: 2 })
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
    const created = await create(store, 1)
    await putSettings(created, { number: 2, chunkLog2: 20 })
    await put(store, 'repo/3.json', '{"format":"coldframe-repository","version":1,"required":[]}')
    await put(store, 'repo/notes.txt', 'not ours')
    const opened = await openRepository({ store, wrappers: [wrapperFor('correct horse')] }, cancel)
    expect(opened.settings.chunkLog2).toBe(20)
  })

  it('does not go back to older settings that were copied to a higher number', async () => {
    const store = memory()
    const created = await create(store, 1)
    await putSettings(created, { number: 2, chunkLog2: 20 })
    await put(store, 'repo/3.json', textAt(store, 'repo/1.json'))
    const opened = await openRepository({ store, wrappers: [wrapperFor('correct horse')] }, cancel)
    expect(opened.settings).toMatchObject({ number: 2, chunkLog2: 20 })
  })

  it('takes no other authentic document for settings', async () => {
    const store = memory()
    const created = await create(store, 1)
    await putSettings(created, { number: 2, chunkLog2: 20, document: 'annotation' })
    const opened = await openRepository({ store, wrappers: [wrapperFor('correct horse')] }, cancel)
    expect(opened.settings.number).toBe(1)
  })

  it.each([
    [
      'settings of an unknown key',
      'repo/9.json',
      (text: string) => text.replace(/"kid":"[0-9a-f]+"/, `"kid":"${'9'.repeat(16)}"`),
    ],
    ['settings of a newer version', 'repo/9.json', (text: string) => text.replace('"version":1', '"version":2')],
    [
      'settings of another repository',
      'repo/9.json',
      (text: string) => text.replace(/"repositoryId":"../, '"repositoryId":"00'),
    ],
    ['no JSON as settings', 'repo/9.json', () => 'junk'],
    [
      'wrapped keys of a newer version',
      'keys/KID/9.json',
      (text: string) => text.replace('"version":1', '"version":2'),
    ],
    [
      'wrapped keys of an unknown form',
      'keys/KID/9.json',
      (text: string) => text.replace(/"blob":"[^"]+"/, '"blob":"AAAA"'),
    ],
    ['no JSON as wrapped keys', 'keys/KID/9.json', () => 'junk'],
    [
      'wrapped keys of another key',
      `keys/${'9'.repeat(16)}/1.json`,
      (text: string) => text.replace('"version":1', '"version":2'),
    ],
  ])('is not kept from opening by an object that anybody can put there: %s', async (_, name, change) => {
    const store = memory()
    const { keys, settings } = await create(store, 1)
    const from = name.startsWith('repo') ? 'repo/1.json' : `keys/${keys.kid}/1.json`
    await put(store, name.replace('KID', keys.kid), withChecksum(change(textAt(store, from))))
    const opened = await openRepository({ store, wrappers: [wrapperFor('correct horse')] }, cancel)
    expect(opened.settings).toEqual(settings)
    const wrong = openRepository({ store, wrappers: [wrapperFor('battery staple')] }, cancel)
    await expect(wrong).rejects.toSatisfy(
      (error) => coded('repository-key')(error) || coded('repository-version')(error),
    )
  })

  it('says that the wrapped keys are missing, not that the passphrase is wrong', async () => {
    const store = memory()
    const { keys } = await create(store, 1)
    store.objects.delete(`keys/${keys.kid}/1.json`)
    const opening = openRepository({ store, wrappers: [wrapperFor('correct horse')] }, cancel)
    await expect(opening).rejects.toSatisfy(coded('integrity'))
  })

  it('is not open while the store fails, whatever else could be read', async () => {
    const store = memory()
    const created = await create(store, 1)
    await putSettings(created, { number: 2, chunkLog2: 20 })
    for (let call = 1; call <= 4; call++) {
      const broken = faultyStore(store, failCall(call, 'before'))
      const opening = openRepository({ store: broken, wrappers: [wrapperFor('correct horse')] }, cancel)
      await expect(opening).rejects.toSatisfy(coded('store-failed'))
    }
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
