import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { countingStore } from '../../lib/adapters/wrap/counting-store.ts'
import { hexOf } from '../../lib/base/bytes.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { parsePackId } from '../../lib/model/ids.ts'
import { chunkWriter } from '../../lib/repository/chunk-writer.ts'
import { packWriter } from '../../lib/repository/pack-writer.ts'
import { sessionTable, sessionTableMemory } from '../../lib/repository/session-table.ts'
import type { RecordRef } from '../../lib/wire/repository/record-ref.ts'
import { cancel, testRepository, vmId } from './kit.ts'

const kid = '0a'.repeat(8)

function refOf(number: number): RecordRef {
  const random = seededRandom(number)
  return {
    // A view in the middle of a larger buffer, as ids are in pages.
    id: random.bytes(35).subarray(3),
    pack: { packId: parsePackId(hexOf(random.bytes(16))), kid, kind: 'data' },
    slot: number & 0xffff,
    offsetBytes: number * 97,
    storedBytes: number + 16,
    codec: number % 2 === 0 ? 0 : 1,
  }
}

describe('the table of a session', () => {
  it('finds what any of its views remembered, and nothing else', () =>
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(100_000), { maxLength: 200 }), (numbers) => {
        const memory = sessionTableMemory({ chunks: 1_000, bytesMax: 1024 * 1024 })
        const [left, right] = [sessionTable(memory, kid), sessionTable(memory, kid)]
        for (const [i, number] of numbers.entries()) (i % 2 === 0 ? left : right).remember(refOf(number))
        for (const number of numbers) expect(left.find(refOf(number).id)).toEqual(refOf(number))
        expect(right.find(seededRandom(200_000).bytes(32))).toBeNull()
      }),
      { numRuns: 20 },
    ))

  it('that is full forgets new chunks and keeps within its limit', () => {
    const memory = sessionTableMemory({ chunks: 1_000_000, bytesMax: 8 * 1024 })
    expect(memory.byteLength).toBeLessThanOrEqual(8 * 1024)
    const table = sessionTable(memory, kid)
    for (let number = 0; number < 2_000; number++) table.remember(refOf(number))
    let found = 0
    for (let number = 0; number < 2_000; number++) {
      const ref = table.find(refOf(number).id)
      if (ref === null) continue
      expect(ref).toEqual(refOf(number))
      found++
    }
    expect(found).toBeGreaterThan(50)
  })

  it('filled by several threads at once gives only what was put', async () => {
    const memory = sessionTableMemory({ chunks: 40_000, bytesMax: 4 * 1024 * 1024 })
    const program = `
      const { workerData } = require('node:worker_threads')
      const load = Promise.all([import(workerData.table), import(workerData.random), import(workerData.bytes)])
      load.then(([{ sessionTable }, { seededRandom }, { hexOf }]) => {
        const table = sessionTable(workerData.memory, '${kid}')
        for (let n = 0; n < 1500; n++) {
          const random = seededRandom(n)
          const id = random.bytes(35).subarray(3)
          const pack = { packId: hexOf(random.bytes(16)), kid: '${kid}', kind: 'data' }
          table.remember({ id, pack, slot: n & 0xffff, offsetBytes: n * 97, storedBytes: n + 16, codec: n % 2 === 0 ? 0 : 1 })
        }
      })`
    const url = (path: string) => new URL(path, import.meta.url).href
    const workerData = {
      memory,
      table: url('../../lib/repository/session-table.ts'),
      random: url('../../lib/base/random.ts'),
      bytes: url('../../lib/base/bytes.ts'),
    }
    const exits = [1, 2, 3].map(() => {
      const worker = new Worker(program, { eval: true, workerData })
      return new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))
    })
    expect(await Promise.all(exits)).toEqual([0, 0, 0])
    const table = sessionTable(memory, kid)
    // Three threads put each chunk thrice; one that finds no place near its own is only stored again.
    const found = Array.from({ length: 1_500 }, (_, number) => table.find(refOf(number).id))
    for (const [number, ref] of found.entries()) if (ref !== null) expect(ref).toEqual(refOf(number))
    expect(found.filter((ref) => ref !== null).length).toBeGreaterThan(1_400)
  })
})

describe('writing chunks', () => {
  it('stores a chunk once, keeps the parent’s entry for equal bytes, and makes zeros holes', async () => {
    const store = countingStore(memoryObjectStore({ clock: manualClock() }))
    const repository = await testRepository(store)
    const chunkBytes = 64 * 1024
    await using packs = packWriter({
      repository,
      kind: 'data',
      packBytesTarget: 1024 * 1024,
      plainBytesMax: chunkBytes,
      uploadsMax: 1,
      compressionLevel: 1,
      random: seededRandom(2),
      signal: cancel.signal,
    })
    const table = sessionTable(sessionTableMemory({ chunks: 10, bytesMax: 1024 * 1024 }), repository.keys.kid)
    const writer = chunkWriter({ repository, domain: vmId, packs, table })
    const plain = new Uint8Array(chunkBytes).fill(7)
    expect(writer.put(new Uint8Array(chunkBytes), null)).toBeNull()
    const first = writer.put(plain, null)
    const second = writer.put(Uint8Array.from(plain), null)
    expect(second).toEqual(first)
    expect(writer.put(plain, first)).toBe(first)
    expect(writer.counts()).toMatchObject({ newChunks: 1, newPlainBytes: chunkBytes })
    await packs.flush()
    expect(packs.packs()).toHaveLength(1)
    expect(packs.packs()[0]?.records).toBe(1)
  })
})
