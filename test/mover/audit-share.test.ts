// The rotation of the audit: each chunk once in a cycle, in runs that are read well, at any size of disk.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GiB, KiB, MiB } from '../../lib/base/bytes.ts'
import { type Extent, endOf, totalBytes } from '../../lib/model/extent.ts'
import { auditExtents, auditTurn } from '../../lib/mover/audit-share.ts'

const percents = fc.oneof(
  fc.integer({ min: 1, max: 100 }),
  fc.double({ min: 0.01, max: 100, noNaN: true }),
  fc.constantFrom(0.5, 2, 3, 50, 99.9, 100),
)

function turnOf(shape: { capacityBytes: number; chunkLog2: number }, percent: number, sequence: number) {
  const turn = auditTurn(shape, { percent, sequence })
  if (turn === null) throw new Error('there is a turn')
  return { turn, extents: auditExtents(shape, turn) }
}

describe('auditTurn()', () => {
  it('takes every byte of a disk exactly once in ceil(100 / percent) points in a row at most, wherever they begin', () =>
    fc.assert(
      fc.property(
        fc.record({ capacityBytes: fc.integer({ min: 1, max: 40 * MiB }), chunkLog2: fc.constantFrom(16, 18, 22) }),
        percents,
        fc.integer({ min: 1, max: 9_999_000_000 }),
        (shape, percent, first) => {
          const { slots } = turnOf(shape, percent, first).turn
          expect(slots).toBeLessThanOrEqual(Math.ceil(100 / percent))
          const all: Extent[] = []
          for (let sequence = first; sequence < first + slots; sequence++) {
            const { turn, extents } = turnOf(shape, percent, sequence)
            expect(turn.slots).toBe(slots)
            expect(extents.length).toBeGreaterThan(0)
            all.push(...extents)
          }
          let at = 0
          for (const extent of all.toSorted((left, right) => left.offsetBytes - right.offsetBytes)) {
            expect(extent.offsetBytes).toBe(at)
            expect(extent.offsetBytes % 2 ** shape.chunkLog2).toBe(0)
            at = endOf(extent)
          }
          expect(at).toBe(shape.capacityBytes)
        },
      ),
      { numRuns: 60 },
    ))

  it('takes about the share that was asked for, in whole leaf pages of a large disk', () => {
    for (const capacityBytes of [40 * GiB, 2 * 1024 * GiB, 62 * 1024 * GiB]) {
      const shape = { capacityBytes, chunkLog2: 18 }
      const { turn, extents } = turnOf(shape, 2, 12_345)
      expect(turn).toMatchObject({ slots: 50, unitBytes: 32 * MiB })
      expect(totalBytes(extents) / capacityBytes).toBeCloseTo(0.02, 2)
      expect(extents.length).toBeLessThan(50_000)
    }
  })

  it('reads runs of 2 MiB and more of a disk of 1 GiB, and something of the smallest in each point', () => {
    expect(turnOf({ capacityBytes: 1 * GiB, chunkLog2: 18 }, 2, 7).turn.unitBytes).toBeGreaterThanOrEqual(2 * MiB)
    const tiny = { capacityBytes: 100 * KiB, chunkLog2: 16 }
    expect(turnOf(tiny, 2, 4).extents).toEqual([{ offsetBytes: 0, lengthBytes: 64 * KiB }])
    expect(turnOf(tiny, 2, 5).extents).toEqual([{ offsetBytes: 64 * KiB, lengthBytes: 36 * KiB }])
  })

  it('takes nothing at 0, everything at 100, and nothing of a disk without bytes', () => {
    const shape = { capacityBytes: 5 * MiB + 1, chunkLog2: 16 }
    expect(auditTurn(shape, { percent: 0, sequence: 9 })).toBeNull()
    expect(turnOf(shape, 100, 9).extents).toEqual([{ offsetBytes: 0, lengthBytes: 5 * MiB + 1 }])
    expect(auditTurn({ capacityBytes: 0, chunkLog2: 16 }, { percent: 2, sequence: 9 })).toBeNull()
  })
})
