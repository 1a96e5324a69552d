// cutRegions(): the same bytes, each leaf once, within the limits.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alignExtents, clipExtents, totalBytes } from '../../lib/model/extent.ts'
import { cutRegions, dataExtents, regionBytesOf } from '../../lib/mover/regions.ts'

const extentLists = (capacityBytes: number) =>
  fc.array(
    fc.tuple(fc.nat(capacityBytes - 1), fc.integer({ min: 1, max: 200 })).map(([offsetBytes, length]) => ({
      offsetBytes,
      lengthBytes: Math.min(length, capacityBytes - offsetBytes),
    })),
    { maxLength: 40 },
  )

describe('cutRegions()', () => {
  it('covers exactly the touched chunks, each leaf in one region, within the limits', () =>
    fc.assert(
      fc.property(
        extentLists(3_000),
        fc.integer({ min: 32, max: 500 }),
        fc.integer({ min: 1, max: 5 }),
        (extents, readBytesMax, leavesMax) => {
          const limits = {
            diskKey: 1,
            whole: false,
            capacityBytes: 3_000,
            chunkBytes: 16,
            leafBytes: 64,
            readBytesMax,
            leavesMax,
          }
          const regions = [...cutRegions(extents, limits)]
          const whole = alignExtents(extents, { blockBytes: 16, capacityBytes: 3_000 })
          expect(
            alignExtents(
              regions.flatMap((region) => region.extents),
              { blockBytes: 16, capacityBytes: 3_000 },
            ),
          ).toEqual(whole)
          expect(regions.reduce((sum, region) => sum + totalBytes(region.extents), 0)).toBe(totalBytes(whole))
          const leaves = regions.flatMap((region) => region.leaves)
          expect(new Set(leaves).size).toBe(leaves.length)
          for (const region of regions) {
            expect(region.leaves.length).toBeLessThanOrEqual(leavesMax)
            if (region.leaves.length > 1) expect(totalBytes(region.extents)).toBeLessThanOrEqual(readBytesMax)
            for (const leaf of region.leaves) {
              expect(
                totalBytes(clipExtents(region.extents, { offsetBytes: leaf * 64, lengthBytes: 64 })),
              ).toBeGreaterThan(0)
            }
          }
        },
      ),
    ))

  it('gives every worker several regions, of one to eight leaves', () => {
    expect(regionBytesOf(100, { workers: 2, leafBytes: 64 })).toBe(64)
    expect(regionBytesOf(64 * 64, { workers: 2, leafBytes: 64 })).toBe(4 * 64)
    expect(regionBytesOf(1e9, { workers: 2, leafBytes: 64 })).toBe(8 * 64)
  })
})

describe('dataExtents()', () => {
  it('keeps a chunk that has any data and drops one that is zero', () => {
    const limits = { chunkBytes: 16, capacityBytes: 100 }
    expect(
      dataExtents(
        [{ offsetBytes: 0, lengthBytes: 100 }],
        [
          { offsetBytes: 20, lengthBytes: 1 },
          { offsetBytes: 96, lengthBytes: 4 },
        ],
        limits,
      ),
    ).toEqual([
      { offsetBytes: 16, lengthBytes: 16 },
      { offsetBytes: 96, lengthBytes: 4 },
    ])
  })
})
