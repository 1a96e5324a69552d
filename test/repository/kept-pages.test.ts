// Readers of several disks that share the pages they keep: bounded together, and never given another disk's page.

import { expect, it } from 'vitest'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { faultyStore } from '../../lib/adapters/wrap/faulty-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { diskMapReader, keptPages } from '../../lib/repository/disk-map-reader.ts'
import { cancel, sessionOf, type TestDisk, testRepository, writeCandidate } from './kit.ts'
import { chunkOf } from './sample.ts'

it('keep together what was allowed, and each finds its own', async () => {
  const store = memoryObjectStore({ clock: manualClock() })
  const whole = await testRepository(store)
  const disks = Array.from({ length: 6 }, (_, i): TestDisk => {
    return { key: 2000 + i, capacityBytes: 129 * 65_536, chunkLog2: 16, chunks: new Map([[128, chunkOf(i + 1)]]) }
  })
  const options = { sequence: 1, parent: null, disks, random: seededRandom(4) }
  const point = await writeCandidate({ repository: whole, sessionId: sessionOf('kept'), ...options })
  let reads = 0
  const counted = faultyStore(store, () => {
    reads++
    return null
  })
  const repository = { ...whole, store: counted }
  const kept = keptPages({ innersMax: 2, leavesMax: 2 })
  const readers = point.envelope.disks.map((disk) =>
    diskMapReader({ repository, domain: point.envelope.vmId, disk, kept }),
  )
  const ids = async () => Promise.all(readers.map(async (reader) => (await reader.leaf(1, cancel))?.ref.id.toString()))
  const first = await ids()
  expect(new Set(first).size).toBe(disks.length)
  const cold = reads
  expect(await ids()).toEqual(first)
  expect(reads - cold).toBeGreaterThanOrEqual((disks.length - 2) * 2)
})
