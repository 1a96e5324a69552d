import { describe, expect, it } from 'vitest'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { proofOfPoint, readKnownPoints } from '../../lib/operate/known-points.ts'
import { viewPoint, viewUnreadable } from '../../lib/operate/point-view.ts'
import { publishCandidate } from '../../lib/repository/candidate.ts'
import { pointKey } from '../../lib/repository/object-keys.ts'
import { cancel, sessionOf, testRepository, vmId, writeCandidate } from '../repository/kit.ts'

async function repositoryOfTwo() {
  const store = memoryObjectStore({ clock: manualClock() })
  const repository = await testRepository(store)
  let parent = null
  for (const sequence of [1, 2]) {
    const sessionId = sessionOf(`point-${sequence}`)
    const chunks = new Map([[0, new Uint8Array(65_536).fill(sequence)]])
    const disk = { key: 2000, capacityBytes: 131_072, chunkLog2: 16, chunks, changed: new Set([0]) }
    const random = seededRandom(sequence)
    parent = await writeCandidate({ repository, sessionId, sequence, parent, disks: [disk], random })
    await publishCandidate({ repository, sessionId, clock: manualClock() }, cancel)
  }
  return { store, repository }
}

describe('the known points', () => {
  it('are all there with what they say of themselves', async () => {
    const { repository } = await repositoryOfTwo()
    const known = await readKnownPoints(repository, cancel)
    const { points, unreadable } = known
    expect(unreadable).toEqual([])
    expect(points.map(({ envelope }) => envelope.sequence)).toEqual([1, 2])
    const views = points.map((point) => viewPoint(point, { proof: proofOfPoint(point, known), said: known.said }))
    expect(views[1]).toMatchObject({
      proven: true,
      proof: { state: 'whole' },
      sequence: 2,
      parentSequence: 1,
      disks: [{ key: 2000 }],
    })
  })

  it('name a damaged one instead of leaving it out', async () => {
    const { store, repository } = await repositoryOfTwo()
    const key = pointKey({ vmId, sequence: 2 })
    const bytes = await store.get(key, cancel)
    const damaged = {
      ...store,
      get: async (wanted: string) =>
        wanted === key ? (bytes?.map((byte, at) => (at === 40 ? byte ^ 1 : byte)) ?? null) : store.get(wanted, cancel),
    }
    const { points, unreadable } = await readKnownPoints({ ...repository, store: damaged }, cancel)
    expect(points.map(({ envelope }) => envelope.sequence)).toEqual([1])
    expect(unreadable.map(viewUnreadable)).toMatchObject([{ vmId, sequence: 2, code: 'integrity' }])
  })
})
