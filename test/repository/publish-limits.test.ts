// Who may publish when: a session that is too old, or a program that does not know what a writer must know, publishes nothing.

import { describe, expect, it } from 'vitest'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { type ManualClock, manualClock } from '../../lib/base/clock.ts'
import { hasCode } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { publishCandidate } from '../../lib/repository/candidate.ts'
import { candidateKey, startKey } from '../../lib/repository/object-keys.ts'
import { createRepository, openForWriting, openRepository } from '../../lib/repository/open-repository.ts'
import { listPoints } from '../../lib/repository/points.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import { startSession } from '../../lib/repository/session.ts'
import { sealSettings } from '../../lib/repository/settings-documents.ts'
import { cancel, sessionOf, wrapperFor, writeCandidate } from './kit.ts'
import { firstDisks } from './sample.ts'

const sessionId = sessionOf('limits')
const hourMs = 3_600_000
const wrappers = [wrapperFor('correct horse')]
const isVersion = (error: unknown) => hasCode(error, 'repository-version')

/** A candidate in a repository whose sessions may last an hour. */
async function sealedWorld() {
  const clock = manualClock()
  const store = memoryObjectStore({ clock })
  const random = seededRandom(1)
  const settings = { sessionMsMax: hourMs }
  const repository = await createRepository({ store, wrappers, random, clock, settings }, cancel)
  await writeCandidate({ repository, sessionId, sequence: 1, parent: null, disks: firstDisks, random })
  return { clock, store, repository }
}

const publish = (repository: Repository, clock: ManualClock) =>
  publishCandidate({ repository, sessionId, clock }, cancel)

async function countPoints(repository: Repository): Promise<number> {
  return (await listPoints({ repository }, cancel)).points.length
}

describe('a session', () => {
  it('publishes until its time is over and not after it', async () => {
    const { clock, repository, store } = await sealedWorld()
    clock.advance(hourMs)
    const late = { ...store, objects: new Map(store.objects) }
    expect(await publish(repository, clock)).toBe('published')
    clock.advance(1)
    expect(await publish(repository, clock)).toBe('already-ours')
    store.objects.clear()
    for (const [key, object] of late.objects) store.objects.set(key, object)
    expect(await publish(repository, clock)).toMatchObject({ kind: 'expired', sessionMsMax: hourMs })
    expect(await countPoints(repository)).toBe(0)
  })

  it('is as old as the store says, however the publisher’s clock goes', async () => {
    const { clock, repository, store } = await sealedWorld()
    const candidate = store.objects.get(candidateKey(sessionId))
    if (candidate === undefined) throw new Error('it is sealed')
    const modifiedAt = new Date(clock.nowMs() + hourMs + 1).toISOString()
    store.objects.set(candidateKey(sessionId), { ...candidate, modifiedAt })
    expect(await publish(repository, clock)).toMatchObject({ kind: 'expired' })
    expect(await countPoints(repository)).toBe(0)
  })

  it('whose start is gone publishes nothing', async () => {
    const { clock, repository, store } = await sealedWorld()
    store.objects.delete(startKey(sessionId))
    expect(await publish(repository, clock)).toMatchObject({ kind: 'expired', startedAt: null })
    expect(await countPoints(repository)).toBe(0)
  })
})

describe('settings that ask of writers what this program does not know', () => {
  async function shut({ store, keys, settings }: Repository): Promise<void> {
    const bytes = sealSettings(keys, { ...settings, number: 2, requiredToWrite: ['sweeps'] })
    await store.putIfAbsent({ key: 'repo/2.json', bytes }, cancel)
  }

  it('keep it from publishing and from starting a session, also when they come while it runs', async () => {
    const { clock, repository } = await sealedWorld()
    await shut(repository)
    await expect(publish(repository, clock)).rejects.toSatisfy(isVersion)
    const starting = startSession({ repository, sessionId: sessionOf('next'), parents: [], clock }, cancel)
    await expect(starting).rejects.toSatisfy(isVersion)
    expect(await countPoints(repository)).toBe(0)
  })

  it('keep it from opening for writing, and not from reading', async () => {
    const { clock, repository, store } = await sealedWorld()
    await publish(repository, clock)
    await shut(repository)
    await expect(openForWriting({ store, wrappers }, cancel)).rejects.toSatisfy(isVersion)
    const random = seededRandom(2)
    await expect(createRepository({ store, wrappers, random, clock }, cancel)).rejects.toSatisfy(isVersion)
    expect(await countPoints(await openRepository({ store, wrappers }, cancel))).toBe(1)
  })

  it('count also when settings of a key that it never opened follow them, and junk beside them does not', async () => {
    const { clock, repository, store } = await sealedWorld()
    const junk = new TextEncoder().encode('junk')
    await store.putIfAbsent({ key: 'repo/9.json', bytes: junk }, cancel)
    expect(await publish(repository, clock)).toBe('published')
    await shut(repository)
    const kid = 'ab'.repeat(8)
    const keys = { ...repository.keys, kid, masters: { [kid]: seededRandom(5).bytes(32) } }
    const bytes = sealSettings(keys, { ...repository.settings, kid, number: 3 })
    await store.putIfAbsent({ key: 'repo/3.json', bytes }, cancel)
    const starting = startSession({ repository, sessionId: sessionOf('next'), parents: [], clock }, cancel)
    await expect(starting).rejects.toSatisfy(isVersion)
  })
})
