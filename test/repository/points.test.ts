// A disk written as chunks comes back byte for byte, from the first point and from those after it.

import { describe, expect, it } from 'vitest'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { publishCandidate } from '../../lib/repository/candidate.ts'
import { openRepository } from '../../lib/repository/open-repository.ts'
import { listPoints, readPoint } from '../../lib/repository/points.ts'
import {
  bytesOfDisk,
  cancel,
  readDisk,
  sessionOf,
  type TestDisk,
  testRepository,
  vmId,
  wrapperFor,
  writeCandidate,
} from './kit.ts'

const chunkBytes = 64 * 1024

function chunkOf(seed: number, compressible = true): Uint8Array {
  const bytes = seededRandom(seed).bytes(chunkBytes)
  if (compressible) bytes.fill(seed & 0xff, 100)
  return bytes
}

function smallDisk(): TestDisk {
  return {
    key: 2000,
    capacityBytes: 200 * chunkBytes + 512,
    chunkLog2: 16,
    chunks: new Map([
      [0, chunkOf(1)],
      [1, chunkOf(2, false)],
      [130, chunkOf(3)],
      [200, Uint8Array.from(chunkOf(4).fill(0, 512))],
    ]),
  }
}

describe('a restore point', () => {
  it('comes back byte for byte after it was published and the repository opened anew', async () => {
    const store = memoryObjectStore({ clock: manualClock() })
    const repository = await testRepository(store)
    const sessionId = sessionOf('one')
    const disk = smallDisk()
    await writeCandidate({ repository, sessionId, sequence: 1, parent: null, disks: [disk], random: seededRandom(9) })

    expect(await listPoints({ repository }, cancel)).toEqual({ points: [], unreadable: [] })
    expect(await publishCandidate({ repository, sessionId, clock: manualClock() }, cancel)).toBe('published')
    expect(await publishCandidate({ repository, sessionId, clock: manualClock() }, cancel)).toBe('already-ours')

    const opened = await openRepository({ store, wrappers: [wrapperFor('correct horse')] }, cancel)
    const point = await readPoint({ repository: opened, ref: { vmId, sequence: 1 } }, cancel)
    expect(point.body.vmName).toBe('web-1')
    expect(Buffer.compare(await readDisk(opened, point, 2000), bytesOfDisk(disk))).toBe(0)
  })
})
