// What every sequential DiskSource keeps, whatever its stream is. Call it with a way to put an image into the stream.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesEqual, KiB } from '../../lib/base/bytes.ts'
import type { DiskSource } from '../../lib/ports/disk.ts'
import { contractImage } from './disk-source.ts'

/** Opens a source that streams `image` once; the suite disposes it. */
export type OpenDiskStream = (image: Uint8Array) => Promise<DiskSource>

const signal = new AbortController().signal

export function describeDiskStream(name: string, open: OpenDiskStream): void {
  describe(`${name}, as a sequential DiskSource`, () => {
    const image = contractImage()
    const size = image.byteLength

    it('gives every byte when it is read through, several reads side by side', async () => {
      await using source = await open(image)
      expect(source).toMatchObject({ access: 'sequential', capacityBytes: size })
      const disk = new Uint8Array(size)
      const pieceBytes = Math.min(source.readBytesMax, 24 * KiB)
      for (let at = 0; at < size; ) {
        const reads: Promise<void>[] = []
        for (; at < size && reads.length < source.readsMax; at += pieceBytes) {
          const target = disk.subarray(at, Math.min(at + pieceBytes, size))
          reads.push(source.read({ offsetBytes: at, target }, { signal }))
        }
        await Promise.all(reads)
      }
      expect(bytesEqual(disk, image)).toBe(true)
    })

    it('is read right by its allocation, region after region, whatever the regions and pieces', async () => {
      const cuts = fc.record({
        regionBytes: fc.integer({ min: 4_000, max: size }),
        pieceBytes: fc.constantFrom(999, 65_536),
      })
      await fc.assert(
        fc.asyncProperty(cuts, async ({ regionBytes, pieceBytes }) => {
          await using source = await open(image)
          const disk = new Uint8Array(size).fill(0xa5)
          for (let start = 0; start < size; start += regionBytes) {
            const region = { offsetBytes: start, lengthBytes: Math.min(regionBytes, size - start) }
            await readRegion(source, { region, disk, pieceBytes })
          }
          expect(bytesEqual(disk, image)).toBe(true)
        }),
        { numRuns: 12, examples: [[{ regionBytes: size, pieceBytes: 65_536 }]] },
      )
    })

    it('takes a range before what was read, or outside the disk, as broken code', async () => {
      await using source = await open(image)
      await source.read({ offsetBytes: 1_000, target: new Uint8Array(100) }, { signal })
      for (const offsetBytes of [0, 1_099, size - 3, size, -1, 0.5, Number.NaN]) {
        await expect(source.read({ offsetBytes, target: new Uint8Array(4) }, { signal })).rejects.toThrow(/Assertion/)
      }
      await expect(source.allocation({ offsetBytes: 0, lengthBytes: 4 }, { signal })).rejects.toThrow(/Assertion/)
      const target = new Uint8Array(16)
      await source.read({ offsetBytes: 1_100, target }, { signal })
      expect(target).toEqual(image.subarray(1_100, 1_116))
    })

    it('is over after a read that was cancelled', async () => {
      await using source = await open(image)
      const reason = new Error('enough')
      const cancelled = { signal: AbortSignal.abort(reason) }
      await expect(source.read({ offsetBytes: 0, target: new Uint8Array(4) }, cancelled)).rejects.toBe(reason)
      await expect(source.read({ offsetBytes: 4, target: new Uint8Array(4) }, { signal })).rejects.toBe(reason)
      await expect(source.allocation({ offsetBytes: 8, lengthBytes: 4 }, { signal })).rejects.toBe(reason)
    })

    it('is disposed once, however often it is asked, in the middle too', async () => {
      const source = await open(image)
      await source.read({ offsetBytes: 0, target: new Uint8Array(5_000) }, { signal })
      await source[Symbol.asyncDispose]()
      await source[Symbol.asyncDispose]()
      await expect(source.read({ offsetBytes: 5_000, target: new Uint8Array(4) }, { signal })).rejects.toThrow(
        /Assertion/,
      )
      await expect(source.allocation({ offsetBytes: 5_000, lengthBytes: 4 }, { signal })).rejects.toThrow(/Assertion/)
    })
  })
}

/** As the mover reads: what is called zero is not read. */
async function readRegion(
  source: DiskSource,
  work: {
    readonly region: { readonly offsetBytes: number; readonly lengthBytes: number }
    readonly disk: Uint8Array
    readonly pieceBytes: number
  },
): Promise<void> {
  const { region, disk, pieceBytes } = work
  let at = region.offsetBytes
  for (const run of await source.allocation(region, { signal })) {
    expect(run.offsetBytes).toBe(at)
    expect(run.lengthBytes).toBeGreaterThan(0)
    const end = run.offsetBytes + run.lengthBytes
    if (run.kind === 'zero') disk.fill(0, at, end)
    else {
      for (; at < end; at += pieceBytes) {
        await source.read({ offsetBytes: at, target: disk.subarray(at, Math.min(at + pieceBytes, end)) }, { signal })
      }
    }
    at = end
  }
  expect(at).toBe(region.offsetBytes + region.lengthBytes)
}
