// The extent arithmetic held against sets of bytes: the slow way of saying the same.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  alignExtents,
  clipExtents,
  cutExtents,
  type Extent,
  endOf,
  mergeExtents,
  totalBytes,
  withoutExtents,
} from '../../lib/model/extent.ts'

const extent: fc.Arbitrary<Extent> = fc.record({
  offsetBytes: fc.integer({ min: 0, max: 200 }),
  lengthBytes: fc.integer({ min: 1, max: 60 }),
})
const extentLists = fc.array(extent, { maxLength: 12 })

function bytesOf(extents: readonly Extent[]): ReadonlySet<number> {
  const bytes = new Set<number>()
  for (const each of extents) for (let at = each.offsetBytes; at < endOf(each); at++) bytes.add(at)
  return bytes
}

function expectAscendingApart(extents: readonly Extent[]): void {
  for (const [index, each] of extents.entries()) {
    expect(each.lengthBytes).toBeGreaterThan(0)
    const next = extents[index + 1]
    if (next !== undefined) expect(next.offsetBytes).toBeGreaterThan(endOf(each))
  }
}

describe('mergeExtents()', () => {
  it('covers the same bytes by ascending extents that never touch', () => {
    fc.assert(
      fc.property(extentLists, (list) => {
        const merged = mergeExtents(list)
        expectAscendingApart(merged)
        expect(bytesOf(merged)).toEqual(bytesOf(list))
        expect(totalBytes(merged)).toBe(bytesOf(list).size)
      }),
    )
  })

  it('joins what touches and keeps what does not', () => {
    expect(
      mergeExtents([
        { offsetBytes: 10, lengthBytes: 5 },
        { offsetBytes: 0, lengthBytes: 10 },
        { offsetBytes: 16, lengthBytes: 1 },
      ]),
    ).toEqual([
      { offsetBytes: 0, lengthBytes: 15 },
      { offsetBytes: 16, lengthBytes: 1 },
    ])
  })
})

describe('alignExtents()', () => {
  it('covers exactly the blocks that hold a wanted byte, and ends at the capacity', () => {
    fc.assert(
      fc.property(
        extentLists,
        fc.integer({ min: 1, max: 32 }),
        fc.integer({ min: 0, max: 300 }),
        (list, blockBytes, capacityBytes) => {
          const aligned = alignExtents(list, { blockBytes, capacityBytes })
          const wanted = new Set([...bytesOf(list)].map((at) => Math.floor(at / blockBytes)))
          const expected = [...Array(capacityBytes).keys()].filter((at) => wanted.has(Math.floor(at / blockBytes)))
          expectAscendingApart(aligned)
          expect([...bytesOf(aligned)].toSorted((a, b) => a - b)).toEqual(expected)
        },
      ),
    )
  })
})

describe('clipExtents()', () => {
  it('keeps the bytes inside the window and no others', () => {
    fc.assert(
      fc.property(extentLists, extent, (list, window) => {
        const inside = bytesOf([window])
        const expected = new Set([...bytesOf(list)].filter((at) => inside.has(at)))
        expect(bytesOf(clipExtents(mergeExtents(list), window))).toEqual(expected)
      }),
    )
  })
})

describe('cutExtents()', () => {
  it('covers the same bytes in the same order by pieces that are not too long', () => {
    fc.assert(
      fc.property(extentLists, fc.integer({ min: 1, max: 50 }), (list, lengthBytesMax) => {
        const pieces = cutExtents(list, lengthBytesMax)
        expect(pieces.every(({ lengthBytes }) => lengthBytes >= 1 && lengthBytes <= lengthBytesMax)).toBe(true)
        expect(totalBytes(pieces)).toBe(totalBytes(list))
        expect(bytesOf(pieces)).toEqual(bytesOf(list))
      }),
    )
  })
})

describe('withoutExtents()', () => {
  const lists = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 1, max: 9 })), { maxLength: 12 })
    .map((gaps) => {
      const extents: Extent[] = []
      let at = 0
      for (const [gap, lengthBytes] of gaps) {
        extents.push({ offsetBytes: at + gap, lengthBytes })
        at += gap + lengthBytes
      }
      return extents
    })
  const bytesOf = (extents: readonly Extent[]) =>
    new Set(
      extents.flatMap(({ offsetBytes, lengthBytes }) => Array.from({ length: lengthBytes }, (_, i) => offsetBytes + i)),
    )

  it('keeps exactly the bytes that are not in the other list', () =>
    fc.assert(
      fc.property(lists, lists, (extents, others) => {
        const kept = bytesOf(withoutExtents(extents, others))
        expect(kept).toEqual(bytesOf(extents).difference(bytesOf(others)))
      }),
    ))
})
