// A backup whose store fails at call 1, 2, 3 …, before or after the call took effect, or is gone from there on: the earlier
// point stays readable, nothing half-made is visible, and the same session succeeds when it is tried again.

import { describe, expect, it } from 'vitest'
import { type MemoryObjectStore, memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { type Fault, failCall, failFrom, faultyStore } from '../../lib/adapters/wrap/faulty-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { hasCode } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import { type Published, publishCandidate } from '../../lib/repository/candidate.ts'
import { listPoints, readPoint } from '../../lib/repository/points.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import { verifyPoint } from '../../lib/repository/verify.ts'
import { cancel, readsAs, sessionOf, type TestDisk, testRepository, vmId, writeCandidate } from './kit.ts'
import { firstDisks, secondDisks, writePoint } from './sample.ts'

async function withFirstPoint() {
  const store = memoryObjectStore({ clock: manualClock() })
  const repository = await testRepository(store)
  await writePoint(repository, { sequence: 1, parent: null, seed: 11 })
  return { store, repository }
}

/** The whole of the second backup as a mover and a commit make it. */
async function secondBackup(repository: Repository, seed: number): Promise<Published> {
  const sessionId = sessionOf('second')
  const parent = await readPoint({ repository, ref: { vmId, sequence: 1 } }, cancel)
  await writeCandidate({ repository, sessionId, sequence: 2, parent, disks: secondDisks, random: seededRandom(seed) })
  return publishCandidate({ repository, sessionId, clock: manualClock() }, cancel)
}

async function isWhole(repository: Repository, sequence: number, disks: readonly TestDisk[]): Promise<boolean> {
  const ref = { vmId, sequence }
  const point = await readPoint({ repository, ref }, cancel)
  const report = await verifyPoint({ repository, ref, level: 'chunks' }, cancel)
  const same = await Promise.all(disks.map((disk) => readsAs(repository, point, disk)))
  return report.faultCount === 0 && same.every(Boolean)
}

async function countCalls(): Promise<number> {
  const { store, repository } = await withFirstPoint()
  let calls = 0
  const counted = faultyStore(store, () => {
    calls++
    return null
  })
  await secondBackup({ ...repository, store: counted }, 21)
  return calls
}

const faults: Readonly<Record<string, (call: number) => Fault>> = {
  'before it takes effect': (call) => failCall(call, 'before'),
  'after it took effect': (call) => failCall(call, 'after'),
  'and all after it': failFrom,
}

describe('a backup whose store fails', () => {
  for (const [when, fault] of Object.entries(faults)) {
    it(`at any call, ${when}, leaves the earlier point whole and succeeds when repeated`, async () => {
      const calls = await countCalls()
      expect(calls).toBeGreaterThanOrEqual(12)
      for (let call = 1; call <= calls; call++) {
        const { store, repository } = await withFirstPoint()
        const broken: ObjectStore = faultyStore(store, fault(call))
        const tried = secondBackup({ ...repository, store: broken }, 21)
        await expect(tried).rejects.toSatisfy((error) => hasCode(error, 'store-failed'))
        const { points, unreadable } = await listPoints({ repository }, cancel)
        expect(unreadable).toEqual([])
        expect(await isWhole(repository, 1, firstDisks)).toBe(true)
        // Only a lost answer to the very last put can leave the second point; then it is whole.
        if (points.length === 2) expect(await isWhole(repository, 2, secondDisks)).toBe(true)
        else expect(points.length).toBe(1)

        expect(['published', 'already-ours']).toContain(await secondBackup(repository, 22 + call))
        expect(await isWhole(repository, 1, firstDisks)).toBe(true)
        expect(await isWhole(repository, 2, secondDisks)).toBe(true)
      }
    }, 60_000)
  }
})

describe('publishing', () => {
  async function sealed(store: MemoryObjectStore, repository: Repository, names: readonly string[]) {
    const parent = await readPoint({ repository, ref: { vmId, sequence: 1 } }, cancel)
    const sessions = names.map((name) => sessionOf(name))
    for (const [i, sessionId] of sessions.entries()) {
      await writeCandidate({
        repository,
        sessionId,
        sequence: 2,
        parent,
        disks: secondDisks,
        random: seededRandom(30 + i),
      })
    }
    return { store, sessions }
  }

  it('of several at once lets exactly one win, and tells the others whose it is', async () => {
    const { store, repository } = await withFirstPoint()
    const { sessions } = await sealed(store, repository, ['a', 'b', 'c'])
    const outcomes = await Promise.all(
      sessions.map((sessionId) => publishCandidate({ repository, sessionId, clock: manualClock() }, cancel)),
    )
    expect(outcomes.filter((outcome) => outcome === 'published')).toHaveLength(1)
    const winner = sessions[outcomes.indexOf('published')]
    for (const outcome of outcomes) {
      if (typeof outcome === 'object')
        expect(outcome).toMatchObject({ kind: 'conflict', winner: { sequence: 2, sessionId: winner } })
    }
    expect(await isWhole(repository, 2, secondDisks)).toBe(true)
  })

  it('twice at once by one session succeeds twice', async () => {
    const { store, repository } = await withFirstPoint()
    const { sessions } = await sealed(store, repository, ['a'])
    const sessionId = sessions[0] ?? sessionOf('a')
    const outcomes = await Promise.all(
      [1, 2].map(() => publishCandidate({ repository, sessionId, clock: manualClock() }, cancel)),
    )
    expect(outcomes.toSorted()).toEqual(['already-ours', 'published'])
  })

  it('without a candidate is refused', async () => {
    const { repository } = await withFirstPoint()
    const publishing = publishCandidate({ repository, sessionId: sessionOf('nobody'), clock: manualClock() }, cancel)
    await expect(publishing).rejects.toSatisfy((error) => hasCode(error, 'candidate-missing'))
  })

  it('of a session that was sealed twice keeps the first candidate', async () => {
    const { repository } = await withFirstPoint()
    const parent = await readPoint({ repository, ref: { vmId, sequence: 1 } }, cancel)
    const sessionId = sessionOf('twice')
    const write = (seed: number) =>
      writeCandidate({ repository, sessionId, sequence: 2, parent, disks: secondDisks, random: seededRandom(seed) })
    const [first, second] = [await write(41), await write(42)]
    expect(second.envelope.pointId).toBe(first.envelope.pointId)
  })
})
