// What is said about a point later: added once, believed only when it is authentic and at its place, never passed over.

import { describe, expect, it } from 'vitest'
import { type MemoryObjectStore, memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { type Said, suspicionsOf, type Unproven } from '../../lib/model/annotation.ts'
import { alarmIdOf, parsePointId } from '../../lib/model/ids.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import { annotatePoint, listAnnotations } from '../../lib/repository/annotations.ts'
import { sealJson } from '../../lib/repository/authentic-json.ts'
import { deriveKey, masterOf } from '../../lib/repository/keys.ts'
import { listPoints } from '../../lib/repository/points.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import { sealOnce } from '../../lib/repository/seal.ts'
import { cancel, sessionOf, testRepository, vmId } from './kit.ts'

const clock = manualClock()
const point = { vmId, sequence: 12, pointId: parsePointId('00112233445566778899aabbccddeeff') }
const said: Unproven = {
  kind: 'unproven',
  reason: 'Changed block tracking of "Hard disk 1" left out changes',
  diskKeys: [2000],
  foundBy: sessionOf('finder'),
}

async function world(): Promise<{ readonly repository: Repository; readonly store: MemoryObjectStore }> {
  const store = memoryObjectStore({ clock })
  return { store, repository: await testRepository(store) }
}

async function add(repository: Repository, change: Partial<Unproven> = {}, of: Partial<typeof point> = {}) {
  const random = seededRandom(Math.floor(Math.random() * 1e9))
  return annotatePoint({ repository, point: { ...point, ...of }, said: { ...said, ...change }, random, clock }, cancel)
}

const annotationKeys = ({ objects }: MemoryObjectStore) => [...objects.keys()].filter((key) => key.startsWith('a/'))

describe('an annotation', () => {
  it('is read as it was said, with its point, number and time', async () => {
    const { repository, store } = await world()
    expect(await add(repository)).toBe('added')
    expect(annotationKeys(store)).toEqual([`a/${vmId}/0000000012/1`])
    const { annotations, unreadable } = await listAnnotations({ repository }, cancel)
    const { nowMs } = clock
    const writtenAt = new Date(nowMs()).toISOString()
    expect(annotations).toEqual([{ ...point, number: 1, writtenAt, kind: 'unproven', said }])
    expect(unreadable).toEqual([])
  })

  it('of an alarm is said once of it, and cleared by that alarm’s name alone', async () => {
    const { repository } = await world()
    const [first, second] = ['a', 'b'].map((key) => alarmIdOf({ source: 'snmp', key }))
    if (first === undefined || second === undefined) throw new Error('two alarms')
    const say = (more: Said) => annotatePoint({ repository, point, said: more, random: seededRandom(7), clock }, cancel)
    expect(await say({ kind: 'suspect', reason: 'x', alarm: first })).toBe('added')
    expect(await say({ kind: 'suspect', reason: 'said otherwise', alarm: first })).toBe('there')
    expect(await say({ kind: 'suspect', reason: 'y', alarm: second })).toBe('added')
    const suspected = async () => {
      const { annotations, unreadable } = await listAnnotations({ repository, of: point }, cancel)
      expect(unreadable).toEqual([])
      return suspicionsOf(annotations.map((one) => one.said)).map(({ reason }) => reason)
    }
    expect(await suspected()).toEqual(['x', 'y'])
    expect(await say({ kind: 'cleared', reason: 'looked', alarm: first, by: 'somebody' })).toBe('added')
    expect(await suspected()).toEqual(['y'])
  })

  it('is said once by a session, and beside those of others', async () => {
    const { repository } = await world()
    expect(await add(repository)).toBe('added')
    expect(await add(repository)).toBe('there')
    expect(await add(repository, { foundBy: sessionOf('another') })).toBe('added')
    // Another point took the sequence: what was said of the first is not said of it.
    expect(await add(repository, {}, { pointId: parsePointId('ff'.repeat(16)) })).toBe('added')
    const { annotations } = await listAnnotations({ repository, of: point }, cancel)
    expect(annotations.map(({ number }) => number)).toEqual([1, 2, 3])
  })

  it('is said once also by two that say it at the same moment, and none of many is lost', async () => {
    const { repository } = await world()
    const finders = Array.from({ length: 12 }, (_, i) => ({ foundBy: sessionOf(`finder ${i % 6}`) }))
    await Promise.all(finders.map((one) => add(repository, one)))
    const { annotations } = await listAnnotations({ repository }, cancel)
    expect(new Set(annotations.map((one) => JSON.stringify(one.said))).size).toBe(6)
    expect(annotations.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('keeps the order of numbers beyond nine, and lists of one VM or point what is asked', async () => {
    const { repository } = await world()
    for (let i = 0; i < 11; i++) await add(repository, { foundBy: sessionOf(`finder ${i}`) })
    await add(repository, {}, { sequence: 3 })
    const all = (await listAnnotations({ repository, of: { vmId } }, cancel)).annotations
    expect(all.map(({ sequence, number }) => [sequence, number])).toEqual([
      [3, 1],
      ...Array.from({ length: 11 }, (_, i) => [12, i + 1]),
    ])
    expect((await listAnnotations({ repository, of: { vmId, sequence: 3 } }, cancel)).annotations).toHaveLength(1)
  })

  it('is added again after a death on either side of its write, once', async () => {
    for (const when of ['before', 'after'] as const) {
      const { repository, store } = await world()
      const dying: ObjectStore = {
        ...store,
        putIfAbsent: async (object, inner) => {
          if (when === 'after') await store.putIfAbsent(object, inner)
          throw new Error('died')
        },
      }
      await expect(add({ ...repository, store: dying })).rejects.toThrow('died')
      expect(await add(repository)).toBe(when === 'before' ? 'added' : 'there')
      expect(annotationKeys(store)).toHaveLength(1)
    }
  })

  it('is reported as damage whichever byte of it is changed, cut off or added', async () => {
    const { repository, store } = await world()
    await add(repository)
    const [key = ''] = annotationKeys(store)
    const bytes = await store.get(key, cancel)
    if (bytes === null) throw new Error('it was added')
    const damaged = [
      new Uint8Array(),
      new TextEncoder().encode('{}'),
      bytes.subarray(0, -1),
      Buffer.concat([bytes, Buffer.from(' ')]),
      ...Array.from({ length: bytes.byteLength }, (_, at) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte))),
    ]
    for (const [number, one] of damaged.entries()) {
      const bad = memoryObjectStore({ clock })
      await bad.putIfAbsent({ key, bytes: one }, cancel)
      const { annotations, unreadable } = await listAnnotations({ repository: { ...repository, store: bad } }, cancel)
      expect(annotations, `case ${number}`).toEqual([])
      expect(unreadable.map(({ ref, error }) => [ref.sequence, error.code])[0], `case ${number}`).toEqual([
        12,
        expect.stringMatching(/^(integrity|repository-key)$/),
      ])
    }
  })

  it('is not believed at another place, of another repository, or where its seal is another one’s', async () => {
    const { repository, store } = await world()
    await add(repository)
    const [key = ''] = annotationKeys(store)
    const bytes = await store.get(key, cancel)
    if (bytes === null) throw new Error('it was added')
    await store.putIfAbsent({ key: `a/${vmId}/0000000013/1`, bytes }, cancel)
    await store.putIfAbsent({ key: `a/${vmId}/0000000012/7`, bytes }, cancel)
    // Whoever holds the key could write this; the sealed text is bound to what it was sealed for.
    const { mac: _, ...json } = JSON.parse(new TextDecoder().decode(bytes))
    const moved = sealJson(repository.keys, { kid: repository.keys.kid, value: { ...json, number: 8 } })
    await store.putIfAbsent({ key: `a/${vmId}/0000000012/8`, bytes: moved }, cancel)
    const { annotations, unreadable } = await listAnnotations({ repository }, cancel)
    expect(annotations).toHaveLength(1)
    expect(unreadable.map(({ ref, error }) => [ref.sequence, ref.number, error.code])).toEqual([
      [12, 7, 'integrity'],
      [12, 8, 'integrity'],
      [13, 1, 'integrity'],
    ])
    // A free number is found beside them.
    expect(await add(repository, { foundBy: sessionOf('later') })).toBe('added')
    expect(annotationKeys(store)).toContain(`a/${vmId}/0000000012/9`)
  })

  it('of a newer program is refused when it requires something, and kept without its text when it is of a new kind', async () => {
    const { repository, store } = await world()
    await add(repository)
    const bytes = await store.get(`a/${vmId}/0000000012/1`, cancel)
    const { mac: _, ...json } = JSON.parse(new TextDecoder().decode(bytes ?? new Uint8Array()))
    const { kid } = repository.keys
    const required = sealJson(repository.keys, { kid, value: { ...json, number: 2, required: ['hold'] } })
    await store.putIfAbsent({ key: `a/${vmId}/0000000012/2`, bytes: required }, cancel)
    const { annotations, unreadable } = await listAnnotations({ repository }, cancel)
    expect(annotations).toHaveLength(1)
    expect(unreadable.map(({ error }) => error.code)).toEqual(['repository-version'])
    const { repositoryId, sequence, pointId } = json
    const key = deriveKey(masterOf(repository.keys, kid), {
      salt: Buffer.from(json.salt, 'hex'),
      label: 'vmb1/annotation',
    })
    const names = ['vmb1/annotation', repositoryId, kid, vmId, sequence, 3, pointId, 'hold']
    const text = sealOnce({ key, aad: Buffer.from(names.join('/')) }, Buffer.from('{"until":"2030"}'))
    const value = { ...json, number: 3, kind: 'hold', sealed: Buffer.from(text).toString('base64') }
    await store.putIfAbsent({ key: `a/${vmId}/0000000012/3`, bytes: sealJson(repository.keys, { kid, value }) }, cancel)
    const held = (await listAnnotations({ repository }, cancel)).annotations.at(-1)
    expect(held).toMatchObject({ ...point, number: 3, kind: 'hold', said: null })
  })

  it('changes nothing for whoever does not know of it, and other names are passed by', async () => {
    const { repository, store } = await world()
    await add(repository)
    for (const name of ['a/', 'a/readme', `a/${vmId}/12/1`, `a/${vmId}/0000000012/01`, `a/${vmId}/0000000012/x`])
      await store.putIfAbsent({ key: `${name}x`.replace('/1x', '/1/x'), bytes: new Uint8Array(3) }, cancel)
    const { annotations, unreadable } = await listAnnotations({ repository }, cancel)
    expect([annotations.length, unreadable.length]).toEqual([1, 0])
    expect(await listPoints({ repository }, cancel)).toEqual({ points: [], unreadable: [] })
  })
})
