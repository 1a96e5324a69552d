// What every DiskSource that is read at random keeps, whatever is behind it. Call it with a way to put an image behind the source.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesEqual, isAllZero, KiB } from '../../lib/base/bytes.ts'
import { seededRandom, wholeNumber } from '../../lib/base/random.ts'
import type { DiskSource } from '../../lib/ports/disk.ts'

/**
 * Opens a source whose bytes are `image`. What is behind it (a server, a file) is given up by the caller's own
 * `onTestFinished`; the suite disposes the source.
 */
export type OpenDiskSource = (image: Uint8Array) => Promise<DiskSource>

const signal = new AbortController().signal

/** 1.25 MiB: data, holes, a run that ends off every block boundary, and data up to the last byte. */
export function contractImage(): Uint8Array {
  const image = new Uint8Array(1280 * KiB)
  const random = seededRandom(20)
  const data = [
    [0, 100 * KiB],
    [256 * KiB, 300 * KiB + 1],
    [640 * KiB, 641 * KiB],
    [1024 * KiB, 1280 * KiB],
  ] as const
  for (const [start, end] of data) image.set(random.bytes(end - start), start)
  return image
}

export function describeDiskSource(name: string, open: OpenDiskSource): void {
  describe(`${name}, as a DiskSource`, () => {
    const image = contractImage()
    const size = image.byteLength

    it('gives exactly the bytes of any range, its ends included', async () => {
      await using source = await open(image)
      expect(source).toMatchObject({ access: 'random', capacityBytes: size })
      expect(source.readBytesMax).toBeGreaterThanOrEqual(64 * KiB)
      expect(source.readsMax).toBeGreaterThanOrEqual(1)

      const lengthMax = Math.min(source.readBytesMax, 256 * KiB)
      const range = fc
        .tuple(fc.nat(size), fc.nat(lengthMax))
        .map(([start, length]) => ({ start, end: Math.min(size, start + length) }))
      const ends = [
        { start: 0, end: 1 },
        { start: 0, end: 0 },
        { start: size, end: size },
        { start: size - 1, end: size },
        { start: size - lengthMax, end: size },
        { start: 0, end: lengthMax },
        { start: 511, end: 513 },
      ]
      await fc.assert(
        fc.asyncProperty(range, async ({ start, end }) => {
          expect(bytesEqual(await readFramed(source, { start, end }), image.subarray(start, end))).toBe(true)
        }),
        { numRuns: 60, examples: ends.map((end) => [end]) },
      )
    })

    it('answers many reads side by side, each with its own bytes', async () => {
      await using source = await open(image)
      const random = seededRandom(7)
      const reads = Array.from({ length: 3 * source.readsMax }, () => {
        const start = wholeNumber(random, { low: 0, high: size - 64 * KiB })
        return { start, end: start + wholeNumber(random, { low: 1, high: 64 * KiB }) }
      })
      const answers = await Promise.all(reads.map((range) => readFramed(source, range)))
      for (const [index, { start, end }] of reads.entries()) {
        expect(bytesEqual(answers[index] ?? new Uint8Array(), image.subarray(start, end))).toBe(true)
      }
    })

    it('refuses a range outside the disk as broken code', async () => {
      await using source = await open(image)
      for (const offsetBytes of [size, size - 3, -1, 0.5, Number.NaN]) {
        await expect(source.read({ offsetBytes, target: new Uint8Array(4) }, { signal })).rejects.toThrow(/Assertion/)
        await expect(source.allocation({ offsetBytes, lengthBytes: 4 }, { signal })).rejects.toThrow(/Assertion/)
      }
      expect(await readFramed(source, { start: 0, end: 16 })).toEqual(image.subarray(0, 16))
    })

    it('rejects a read that was cancelled, and goes on serving others', async () => {
      await using source = await open(image)
      const stop = new AbortController()
      const reason = new Error('enough')
      const reads = Array.from({ length: 8 }, () => {
        return source.read({ offsetBytes: 0, target: new Uint8Array(64 * KiB) }, { signal: stop.signal })
      })
      const settled = Promise.allSettled(reads)
      stop.abort(reason)
      for (const result of await settled) {
        if (result.status === 'rejected') expect(result.reason).toBe(reason)
      }
      const late = source.read({ offsetBytes: 0, target: new Uint8Array(4) }, { signal: stop.signal })
      await expect(late).rejects.toBe(reason)
      await expect(source.allocation({ offsetBytes: 0, lengthBytes: 4 }, { signal: stop.signal })).rejects.toBe(reason)
      const read = await readFramed(source, { start: 5, end: 70_000 })
      expect(bytesEqual(read, image.subarray(5, 70_000))).toBe(true)
    })

    it('describes the allocation of a range contiguously, and what it calls zero is zero', async () => {
      await using source = await open(image)
      const ranges = [
        { offsetBytes: 0, lengthBytes: size },
        { offsetBytes: 1, lengthBytes: size - 2 },
        { offsetBytes: 300 * KiB + 1, lengthBytes: 1 },
        { offsetBytes: 100 * KiB - 3, lengthBytes: 200 * KiB },
      ]
      for (const range of ranges) {
        const runs = await source.allocation(range, { signal })
        let at = range.offsetBytes
        for (const run of runs) {
          expect(run.offsetBytes).toBe(at)
          expect(run.lengthBytes).toBeGreaterThan(0)
          at += run.lengthBytes
          if (run.kind === 'zero') expect(isAllZero(image.subarray(run.offsetBytes, at))).toBe(true)
        }
        expect(at).toBe(range.offsetBytes + range.lengthBytes)
      }
      expect(await source.allocation({ offsetBytes: size, lengthBytes: 0 }, { signal })).toEqual([])
    })

    it('is disposed once, however often it is asked', async () => {
      const source = await open(image)
      await source[Symbol.asyncDispose]()
      await source[Symbol.asyncDispose]()
      await expect(source.read({ offsetBytes: 0, target: new Uint8Array(4) }, { signal })).rejects.toThrow(/Assertion/)
      await expect(source.allocation({ offsetBytes: 0, lengthBytes: 4 }, { signal })).rejects.toThrow(/Assertion/)
    })
  })
}

/** Reads into the middle of a larger buffer, and checks that its surroundings are left alone. */
async function readFramed(source: DiskSource, range: { readonly start: number; readonly end: number }) {
  const lengthBytes = range.end - range.start
  const frame = new Uint8Array(lengthBytes + 16).fill(0xa5)
  const target = frame.subarray(8, 8 + lengthBytes)
  await source.read({ offsetBytes: range.start, target }, { signal })
  expect(frame.subarray(0, 8)).toEqual(new Uint8Array(8).fill(0xa5))
  expect(frame.subarray(8 + lengthBytes)).toEqual(new Uint8Array(8).fill(0xa5))
  return target
}
