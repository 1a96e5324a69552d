// The block map against a naive model: disks as plain maps, changed, grown, shrunk, emptied and removed at random.
// After every step all disks of the newest point must read as the model says, and the point must verify, which also
// counts every reference and compares it with the pack set.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { publishCandidate } from '../../lib/repository/candidate.ts'
import { diskReader } from '../../lib/repository/disk-reader.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { readPoint } from '../../lib/repository/points.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import { verifyPoint } from '../../lib/repository/verify.ts'
import { chunksPerLeaf } from '../../lib/wire/repository/page.ts'
import { cancel, sessionOf, type TestDisk, testRepository, vmId, writeCandidate } from './kit.ts'

const chunkLog2 = 16
const chunkBytes = 2 ** chunkLog2
const leafChunks = chunksPerLeaf

/** A chunk is `lengthBytes` of one value, then zeros. */
type ModelChunk = { readonly value: number; readonly lengthBytes: number }
type ModelDisk = { capacityBytes: number; chunks: Map<number, ModelChunk>; changed: Set<number> }

function plainOf({ value, lengthBytes }: ModelChunk): Uint8Array {
  return new Uint8Array(chunkBytes).fill(value, 0, lengthBytes)
}

function testDiskOf(key: number, disk: ModelDisk): TestDisk {
  const chunks = new Map([...disk.chunks].map(([index, chunk]) => [index, plainOf(chunk)]))
  return { key, capacityBytes: disk.capacityBytes, chunkLog2, chunks, changed: disk.changed }
}

function resize(disk: ModelDisk, capacityBytes: number): void {
  if (capacityBytes < disk.capacityBytes) {
    const lastLeaf = Math.floor(Math.max(0, capacityBytes - 1) / (chunkBytes * leafChunks))
    // Whoever shrinks replaces the leaf that the new end cuts.
    for (let i = 0; i < leafChunks; i++) disk.changed.add(lastLeaf * leafChunks + i)
    for (const [index, chunk] of disk.chunks) {
      const lengthBytes = Math.min(chunk.lengthBytes, capacityBytes - index * chunkBytes)
      if (lengthBytes <= 0) disk.chunks.delete(index)
      else disk.chunks.set(index, { ...chunk, lengthBytes })
    }
  }
  disk.capacityBytes = capacityBytes
}

function write(disk: ModelDisk, at: { readonly place: number; readonly value: number }): void {
  const count = Math.ceil(disk.capacityBytes / chunkBytes)
  if (count === 0) return
  const index = at.place % count
  const lengthBytes = Math.min(chunkBytes, disk.capacityBytes - index * chunkBytes)
  if (at.value === 0) disk.chunks.delete(index)
  else disk.chunks.set(index, { value: at.value, lengthBytes })
  disk.changed.add(index)
}

async function expectReadsAs(
  repository: Repository,
  point: StoredPoint,
  disks: ReadonlyMap<number, ModelDisk>,
): Promise<void> {
  expect(point.envelope.disks.map((disk) => disk.key)).toEqual([...disks.keys()])
  for (const disk of point.envelope.disks) {
    const model = disks.get(disk.key)
    if (model === undefined) throw new Error('unreachable')
    const reader = diskReader({ repository, domain: vmId, disk, cacheBytesMax: 0 })
    let at = 0
    const seen = new Set<number>()
    for await (const run of reader.runs({ offsetBytes: 0, lengthBytes: disk.capacityBytes }, cancel)) {
      expect(run.offsetBytes).toBe(at)
      at += run.kind === 'hole' ? run.lengthBytes : run.bytes.byteLength
      if (run.kind === 'hole') continue
      const index = run.offsetBytes / chunkBytes
      const chunk = model.chunks.get(index)
      if (chunk === undefined) throw new Error(`Chunk ${index} should be a hole`)
      seen.add(index)
      expect(Buffer.compare(run.bytes, plainOf(chunk).subarray(0, run.bytes.byteLength))).toBe(0)
    }
    expect(at).toBe(disk.capacityBytes)
    expect(seen.size).toBe(model.chunks.size)
  }
}

// One leaf, a few leaves, one inner page, two levels of inner pages; ends inside a chunk, too.
const capacity = fc.constantFrom(
  0,
  512,
  3 * chunkBytes,
  128 * chunkBytes,
  129 * chunkBytes + 512,
  9_000 * chunkBytes,
  70_000 * chunkBytes,
  34_000_000 * chunkBytes,
)
const disk = fc.constantFrom(2000, 2001)
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('write' as const), disk, place: fc.nat(40_000_000), value: fc.nat(3) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('write' as const), disk, place: fc.nat(200), value: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('resize' as const), disk, capacity }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), disk }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('point' as const) }) },
)

it('a disk reads as its model says after any writes, growth, shrinking and removal, point after point', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), capacity, async (steps, first) => {
      const store = memoryObjectStore({ clock: manualClock() })
      const repository = await testRepository(store)
      const random = seededRandom(5)
      // A disk that comes back after a removal is another disk: it has another key.
      const removals = new Map<number, number>()
      const keyOf = (name: number) => name + 100 * (removals.get(name) ?? 0)
      const disks = new Map<number, ModelDisk>([
        [2000, { capacityBytes: first, chunks: new Map(), changed: new Set() }],
      ])
      let parent: StoredPoint | null = null
      let sequence = 0
      const savePoint = async () => {
        sequence++
        const sessionId = sessionOf(`point ${sequence}`)
        const list = [...disks].map(([key, model]) => testDiskOf(key, model))
        await writeCandidate({ repository, sessionId, sequence, parent, disks: list, random })
        expect(await publishCandidate({ repository, sessionId, clock: manualClock() }, cancel)).toBe('published')
        parent = await readPoint({ repository, ref: { vmId, sequence } }, cancel)
        for (const model of disks.values()) model.changed.clear()
        await expectReadsAs(repository, parent, disks)
        const report = await verifyPoint({ repository, ref: { vmId, sequence }, level: 'chunks' }, cancel)
        expect(report.faults).toEqual([])
      }
      for (const change of [...steps, { kind: 'point' as const }]) {
        if (change.kind === 'point') await savePoint()
        else if (change.kind === 'remove') {
          disks.delete(keyOf(change.disk))
          removals.set(change.disk, (removals.get(change.disk) ?? 0) + 1)
        } else {
          const key = keyOf(change.disk)
          const model = disks.get(key) ?? { capacityBytes: 4 * chunkBytes, chunks: new Map(), changed: new Set() }
          disks.set(key, model)
          if (change.kind === 'resize') resize(model, change.capacity)
          else write(model, change)
        }
      }
    }),
    { numRuns: Number(process.env['COLDFRAME_RUNS'] ?? 25) },
  )
}, 120_000)
