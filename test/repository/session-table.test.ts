// The session's table of chunks: finds what was remembered, never anything else, and takes being full.

import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../lib/base/random.ts'
import { parsePackId } from '../../lib/model/ids.ts'
import { sessionTable, sessionTableMemory } from '../../lib/repository/session-table.ts'
import { codecs, type RecordRef } from '../../lib/wire/repository/record-ref.ts'

const kid = '0123456789abcdef'

function refs(count: number): readonly RecordRef[] {
  const random = seededRandom(7)
  return Array.from({ length: count }, (_, index) => ({
    id: random.bytes(32),
    pack: { packId: parsePackId(Buffer.from(random.bytes(16)).toString('hex')), kid, kind: 'data' as const },
    slot: index % 65_536,
    offsetBytes: 64 + index * 1_000,
    storedBytes: 500 + index,
    codec: index % 2 === 0 ? codecs.zstd : codecs.raw,
  }))
}

describe('sessionTable()', () => {
  it('gives back what was remembered, also through another view of the same memory', () => {
    const memory = sessionTableMemory({ chunks: 1_000, bytesMax: 1 << 20 })
    const writer = sessionTable(memory, kid)
    const reader = sessionTable(memory, kid)
    const all = refs(1_000)
    for (const ref of all) writer.remember(ref)
    const found = all.filter((ref) => reader.find(ref.id) !== null)
    for (const ref of found) expect(reader.find(ref.id)).toEqual(ref)
    expect(found.length).toBeGreaterThan(990)
  })

  it('does not find what was not remembered', () => {
    const table = sessionTable(sessionTableMemory({ chunks: 100, bytesMax: 1 << 20 }), kid)
    const [first, ...others] = refs(50)
    if (first === undefined) throw new Error('there are fifty')
    table.remember(first)
    for (const ref of others) expect(table.find(ref.id)).toBeNull()
  })

  it('learns nothing more when it is full, and keeps what it knows', () => {
    const memory = sessionTableMemory({ chunks: 1_000_000, bytesMax: 8_192 })
    expect(memory.byteLength).toBeLessThanOrEqual(8_192)
    const table = sessionTable(memory, kid)
    const all = refs(2_000)
    for (const ref of all) table.remember(ref)
    const found = all.filter((ref) => table.find(ref.id) !== null)
    expect(found.length).toBeGreaterThan(100)
    expect(found.length).toBeLessThanOrEqual(8_192 / 52)
    for (const ref of found) expect(table.find(ref.id)).toEqual(ref)
  })
})
