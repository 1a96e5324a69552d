// addWrap(): a repository that is there opens by another key, too, and by the first as before; nothing is taken away.

import { describe, expect, it } from 'vitest'
import { memoryKeyWrapper } from '../../lib/adapters/memory/key-wrapper.ts'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { failCall, faultyStore } from '../../lib/adapters/wrap/faulty-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { hasCode } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { KeyWrapper } from '../../lib/ports/keys.ts'
import { addWrap } from '../../lib/repository/add-wrap.ts'
import { createRepository, openRepository } from '../../lib/repository/open-repository.ts'
import { cancel, wrapperFor } from './kit.ts'

const own = wrapperFor('correct horse')

async function world() {
  const store = memoryObjectStore({ clock: manualClock() })
  const options = { store, wrappers: [own], random: seededRandom(1), clock: manualClock() }
  return { store, repository: await createRepository(options, cancel) }
}

const keysIn = (store: ReturnType<typeof memoryObjectStore>) =>
  [...store.objects.keys()].filter((key) => key.startsWith('keys/')).map((key) => key.replace(/^keys\/[^/]+\//, ''))

describe('addWrap()', () => {
  it('lets another key open the repository, and the first one still', async () => {
    const { store, repository } = await world()
    const cloud = memoryKeyWrapper('kms')
    expect(await addWrap({ repository, own, added: cloud }, cancel)).toBe('added')
    for (const wrapper of [cloud, own]) {
      const { keys } = await openRepository({ store, wrappers: [wrapper] }, cancel)
      expect(keys).toEqual(repository.keys)
    }
    expect(await addWrap({ repository, own, added: cloud }, cancel)).toBe('there')
    expect(keysIn(store)).toEqual(['1.json', '2.json'])
    const second = memoryKeyWrapper('kms')
    expect(await addWrap({ repository, own, added: second }, cancel)).toBe('added')
    for (const wrapper of [cloud, second, own]) await openRepository({ store, wrappers: [wrapper] }, cancel)
  })

  it('is not kept from it by what anybody can put below "keys/"', async () => {
    const { store, repository } = await world()
    const prefix = `keys/${repository.keys.kid}/`
    const first = await store.get(`${prefix}1.json`, cancel)
    await store.putIfAbsent({ key: `${prefix}2.json`, bytes: Buffer.from('junk') }, cancel)
    await store.putIfAbsent({ key: `${prefix}9.json`, bytes: (first ?? new Uint8Array()).subarray(1) }, cancel)
    const cloud = memoryKeyWrapper('kms')
    expect(await addWrap({ repository, own, added: cloud }, cancel)).toBe('added')
    await openRepository({ store, wrappers: [cloud] }, cancel)
    expect(keysIn(store).toSorted()).toEqual(['1.json', '2.json', '3.json', '9.json'])
  })

  it('writes nothing for a wrapper that does not open what it wraps, or without the passphrase', async () => {
    const { store, repository } = await world()
    const broken: KeyWrapper = { ...memoryKeyWrapper('kms'), unwrap: async () => new Uint8Array(32) }
    const adding = addWrap({ repository, own, added: broken }, cancel)
    await expect(adding).rejects.toSatisfy((error) => hasCode(error, 'repository-key'))
    const stranger = addWrap({ repository, own: wrapperFor('battery'), added: memoryKeyWrapper('kms') }, cancel)
    await expect(stranger).rejects.toSatisfy((error) => hasCode(error, 'repository-key'))
    expect(keysIn(store)).toEqual(['1.json'])
  })

  it('leaves a repository that opens whichever call fails, and does it when it is tried again', async () => {
    for (const when of ['before', 'after'] as const) {
      for (let call = 1; call <= 4; call++) {
        const { store, repository } = await world()
        const cloud = memoryKeyWrapper('kms')
        const failing = { ...repository, store: faultyStore(store, failCall(call, when)) }
        await addWrap({ repository: failing, own, added: cloud }, cancel).catch(() => undefined)
        await openRepository({ store, wrappers: [own] }, cancel)
        await addWrap({ repository, own, added: cloud }, cancel)
        await openRepository({ store, wrappers: [cloud] }, cancel)
      }
    }
  })
})
