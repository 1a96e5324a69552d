import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { memoryMeter } from '../../lib/adapters/memory/meter.ts'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { faultyStore } from '../../lib/adapters/wrap/faulty-store.ts'
import { meteredStore } from '../../lib/adapters/wrap/metered-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { parsePackId } from '../../lib/model/ids.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import { type DiskRun, diskReader } from '../../lib/repository/disk-reader.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { planReads } from '../../lib/repository/record-reader.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import type { RecordRef } from '../../lib/wire/repository/record-ref.ts'
import { bytesOfDisk, cancel, sessionOf, type TestDisk, testRepository, vmId, writeCandidate } from './kit.ts'

const chunkBytes = 64 * 1024
const disk: TestDisk = {
  key: 2000,
  capacityBytes: 300 * chunkBytes + 1024,
  chunkLog2: 16,
  chunks: new Map(
    [0, 1, 2, 5, 127, 128, 200, 299, 300].map((index) => {
      const bytes = seededRandom(index).bytes(chunkBytes).fill(index, 2000)
      return [index, index === 300 ? bytes.fill(0, 1024) : bytes]
    }),
  ),
}
const whole = bytesOfDisk(disk)
const meter = memoryMeter({ functionGb: 0 })
let store: ObjectStore
let repository: Repository
let point: StoredPoint

beforeAll(async () => {
  store = meteredStore(memoryObjectStore({ clock: manualClock() }), meter)
  repository = await testRepository(store)
  const write = {
    repository,
    sessionId: sessionOf('one'),
    sequence: 1,
    parent: null,
    disks: [disk],
    random: seededRandom(3),
  }
  point = await writeCandidate({ ...write, packBytesTarget: 16 * 1024 * 1024 })
})

function reader(cacheBytesMax = 0, on: Repository = repository) {
  const [map] = point.envelope.disks
  if (map === undefined) throw new Error('no disk')
  return diskReader({ repository: on, domain: vmId, disk: map, cacheBytesMax })
}

const range = fc
  .tuple(fc.nat(disk.capacityBytes), fc.nat(disk.capacityBytes))
  .map(([a, b]) => ({ offsetBytes: Math.min(a, b), lengthBytes: Math.abs(a - b) }))

describe('reading a disk', () => {
  it('in order gives exactly the asked range: runs ascend without a gap, and holes are merged', () =>
    fc.assert(
      fc.asyncProperty(
        range,
        fc.constantFrom(chunkBytes, 16 * chunkBytes),
        fc.nat(3),
        async (asked, windowBytes, windowsAhead) => {
          const copy = Buffer.alloc(asked.lengthBytes, 0xee)
          let at = asked.offsetBytes
          let last: DiskRun['kind'] | null = null
          for await (const run of reader().runs({ ...asked, windowBytes, windowsAhead }, cancel)) {
            expect(run.offsetBytes).toBe(at)
            expect(run.kind === 'hole' && last === 'hole').toBe(false)
            last = run.kind
            const lengthBytes = run.kind === 'hole' ? run.lengthBytes : run.bytes.byteLength
            expect(lengthBytes).toBeGreaterThan(0)
            if (run.kind === 'data') copy.set(run.bytes, at - asked.offsetBytes)
            else copy.fill(0, at - asked.offsetBytes, at - asked.offsetBytes + lengthBytes)
            at += lengthBytes
          }
          expect(at).toBe(asked.offsetBytes + asked.lengthBytes)
          expect(Buffer.compare(copy, whole.subarray(asked.offsetBytes, at))).toBe(0)
        },
      ),
      { numRuns: 40 },
    ))

  it('anywhere fills the target with the disk’s bytes, with and without a cache', async () => {
    const cached = reader(4 * chunkBytes)
    await fc.assert(
      fc.asyncProperty(range, fc.boolean(), async (asked, useCache) => {
        const target = new Uint8Array(Math.min(asked.lengthBytes, 700_000)).fill(0xee)
        await (useCache ? cached : reader()).readRange({ offsetBytes: asked.offsetBytes, target }, cancel)
        const expected = whole.subarray(asked.offsetBytes, asked.offsetBytes + target.byteLength)
        expect(Buffer.compare(target, expected)).toBe(0)
      }),
      { numRuns: 40 },
    )
  })

  it('asks the store once for neighbours in a pack', async () => {
    const one = reader()
    const before = meter.total().storeGets
    for await (const _ of one.runs({ offsetBytes: 0, lengthBytes: disk.capacityBytes }, cancel));
    // The inner page, two reads of leaves (8 at a time) or fewer, and one read a window of one pack.
    expect(meter.total().storeGets - before).toBeLessThanOrEqual(6)
  })

  it('that is left early stops its reads ahead', async () => {
    for await (const run of reader().runs(
      { offsetBytes: 0, lengthBytes: disk.capacityBytes, windowBytes: chunkBytes },
      cancel,
    )) {
      expect(run.kind).toBe('data')
      break
    }
  })

  it('passes on what the store says when it refuses, and reads on when it answers again', async () => {
    let broken = true
    const failing = faultyStore(store, (call) => (broken && call.method === 'getRange' ? 'before' : null))
    const one = reader(1024 * 1024, { ...repository, store: failing })
    const target = new Uint8Array(10)
    await expect(one.readRange({ offsetBytes: 0, target }, cancel)).rejects.toThrow('told to fail')
    broken = false
    await one.readRange({ offsetBytes: 0, target }, cancel)
    expect(Buffer.compare(target, whole.subarray(0, 10))).toBe(0)
  })
})

describe('planReads()', () => {
  const ref = fc.record({ pack: fc.nat(2), offset: fc.nat(5_000), stored: fc.integer({ min: 1, max: 900 }) }).map(
    ({ pack, offset, stored }): RecordRef => ({
      id: new Uint8Array(32),
      pack: { packId: parsePackId(`${pack}`.repeat(32)), kid: '00'.repeat(8), kind: 'data' },
      slot: 0,
      offsetBytes: offset,
      storedBytes: stored,
      codec: 0,
    }),
  )

  it('covers every record once, keeps its limits, and never joins packs', () =>
    fc.assert(
      fc.property(fc.array(ref), fc.nat(100), (refs, gapBytesMax) => {
        const parts = planReads(refs, { gapBytesMax, readBytesMax: 2_000 })
        expect(parts.flatMap((part) => part.refs).length).toBe(refs.length)
        for (const part of parts) {
          expect(part.lengthBytes).toBeLessThanOrEqual(2_000)
          for (const one of part.refs) {
            expect(one.pack.packId).toBe(part.pack.packId)
            expect(one.offsetBytes).toBeGreaterThanOrEqual(part.offsetBytes)
            expect(one.offsetBytes + one.storedBytes).toBeLessThanOrEqual(part.offsetBytes + part.lengthBytes)
          }
        }
      }),
    ))
})
