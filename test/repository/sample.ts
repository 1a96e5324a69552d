// A small repository for tests that break it: two points of a VM with two disks, the second an incremental.

import { type MemoryObjectStore, memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import { publishCandidate } from '../../lib/repository/candidate.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { readPoint } from '../../lib/repository/points.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import { cancel, sessionOf, type TestDisk, testRepository, vmId, writeCandidate } from './kit.ts'

const chunkBytes = 64 * 1024

export type Sample = {
  readonly store: MemoryObjectStore
  readonly repository: Repository
  readonly points: readonly StoredPoint[]
  /** By sequence - 1. */
  readonly disks: readonly (readonly TestDisk[])[]
}

export function chunkOf(value: number): Uint8Array {
  return new Uint8Array(chunkBytes).fill(value)
}

const system: TestDisk = {
  key: 2000,
  capacityBytes: 131 * chunkBytes + 512,
  chunkLog2: 16,
  chunks: new Map([
    [0, chunkOf(1)],
    [3, chunkOf(2)],
    [130, chunkOf(3)],
    [131, new Uint8Array(chunkBytes).fill(4, 0, 512)],
  ]),
}
const data: TestDisk = { key: 2001, capacityBytes: 8 * chunkBytes, chunkLog2: 16, chunks: new Map([[7, chunkOf(5)]]) }

export const firstDisks: readonly TestDisk[] = [system, data]
export const secondDisks: readonly TestDisk[] = [
  {
    ...system,
    chunks: new Map([...system.chunks, [1, chunkOf(6)]].filter(([index]) => index !== 3) as [number, Uint8Array][]),
    changed: new Set([1, 3]),
  },
  { ...data, changed: new Set() },
]

export async function writePoint(
  repository: Repository,
  point: { readonly sequence: number; readonly parent: StoredPoint | null; readonly seed: number },
): Promise<StoredPoint> {
  const { sequence, parent } = point
  const sessionId = sessionOf(`sample ${sequence}`)
  const disks = sequence === 1 ? firstDisks : secondDisks
  await writeCandidate({ repository, sessionId, sequence, parent, disks, random: seededRandom(point.seed) })
  await publishCandidate({ repository, sessionId, clock: manualClock() }, cancel)
  return readPoint({ repository, ref: { vmId, sequence } }, cancel)
}

export async function sampleRepository(): Promise<Sample> {
  const store = memoryObjectStore({ clock: manualClock() })
  const repository = await testRepository(store)
  const first = await writePoint(repository, { sequence: 1, parent: null, seed: 11 })
  const second = await writePoint(repository, { sequence: 2, parent: first, seed: 12 })
  return { store, repository, points: [first, second], disks: [firstDisks, secondDisks] }
}

/** The same repository on a store with one object replaced, or removed when `bytes` is null. */
export function withObject(sample: Sample, key: string, bytes: Uint8Array | null): ObjectStore {
  const store = memoryObjectStore({ clock: manualClock() })
  for (const [name, object] of sample.store.objects) store.objects.set(name, object)
  if (bytes === null) store.objects.delete(key)
  else store.objects.set(key, { bytes, modifiedAt: '2026-01-01T00:00:00.000Z' })
  return store
}
