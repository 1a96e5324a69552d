// forEachPiece(): order, bounds, and what happens to reads in flight when one fails.

import { describe, expect, it } from 'vitest'
import { memoryDiskSource } from '../../lib/adapters/memory/transport.ts'
import { seededRandom, wholeNumber } from '../../lib/base/random.ts'
import { alignExtents, clipExtents } from '../../lib/model/extent.ts'
import { forEachPiece } from '../../lib/mover/read-ahead.ts'

const signal = new AbortController().signal

describe('forEachPiece()', () => {
  it('hands out every byte of the extents once, in order, whatever the sizes', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed)
      const disk = random.bytes(5_000)
      const extents = clipExtents(
        alignExtents(
          Array.from({ length: wholeNumber(random, { low: 1, high: 20 }) }, () => ({
            offsetBytes: wholeNumber(random, { low: 0, high: 4_999 }),
            lengthBytes: wholeNumber(random, { low: 1, high: 600 }),
          })),
          { blockBytes: 8, capacityBytes: 5_000 },
        ),
        { offsetBytes: 0, lengthBytes: 5_000 },
      )
      let inFlight = 0
      const source = memoryDiskSource(disk, {
        readBytesMax: wholeNumber(random, { low: 10, high: 200 }),
        beforeRead: async () => {
          inFlight++
          expect(inFlight).toBeLessThanOrEqual(3)
          await new Promise((resolve) => setTimeout(resolve, random.fraction() * 2))
          inFlight--
        },
      })
      const copy = new Uint8Array(5_000)
      let at = -1
      await forEachPiece(
        { source, extents },
        {
          pieceBytesMax: 64,
          arena: new Uint8Array(wholeNumber(random, { low: 64, high: 300 })),
          readsMax: 3,
          signal,
          use: async (piece) => {
            expect(piece.offsetBytes).toBeGreaterThan(at)
            at = piece.offsetBytes
            await Promise.resolve()
            copy.set(piece.bytes, piece.offsetBytes)
          },
        },
      )
      const expected = new Uint8Array(5_000)
      for (const { offsetBytes, lengthBytes } of extents)
        expected.set(disk.subarray(offsetBytes, offsetBytes + lengthBytes), offsetBytes)
      expect(Buffer.compare(copy, expected), `seed ${seed}`).toBe(0)
    }
  })

  it('throws the failure of a read after the others have settled', async () => {
    let reads = 0
    let settled = 0
    const source = memoryDiskSource(new Uint8Array(1_000), {
      beforeRead: async () => {
        const mine = ++reads
        await new Promise((resolve) => setTimeout(resolve, mine === 2 ? 1 : 10))
        settled++
        if (mine === 2) throw new Error('second read failed')
      },
    })
    const options = { pieceBytesMax: 100, arena: new Uint8Array(400), readsMax: 4, signal, use: () => undefined }
    await expect(forEachPiece({ source, extents: [{ offsetBytes: 0, lengthBytes: 1_000 }] }, options)).rejects.toThrow(
      'second read failed',
    )
    expect(settled).toBe(reads)
  })
})

it('forEachPiece() reads on while ended pieces wait for their use, never more than allowed at once', async () => {
  let started = 0
  let inFlight = 0
  const source = memoryDiskSource(new Uint8Array(800), {
    beforeRead: async () => {
      started++
      expect(++inFlight).toBeLessThanOrEqual(2)
      await Promise.resolve()
      inFlight--
    },
  })
  let startedBeforeUse = 0
  await forEachPiece(
    { source, extents: [{ offsetBytes: 0, lengthBytes: 800 }] },
    {
      pieceBytesMax: 100,
      arena: new Uint8Array(400),
      readsMax: 2,
      signal,
      use: async ({ offsetBytes }) => {
        for (let turn = 0; turn < 50; turn++) await Promise.resolve()
        if (offsetBytes === 0) startedBeforeUse = started
      },
    },
  )
  expect(startedBeforeUse).toBe(4)
  expect(started).toBe(8)
})

it('forEachPiece() that is stopped between two pieces has not read everything, and says so', async () => {
  const stop = new AbortController()
  const source = memoryDiskSource(new Uint8Array(200))
  const reading = forEachPiece(
    { source, extents: [{ offsetBytes: 0, lengthBytes: 200 }] },
    {
      pieceBytesMax: 100,
      arena: new Uint8Array(100),
      readsMax: 4,
      signal: stop.signal,
      use: async () => stop.abort(new Error('stopped')),
    },
  )
  await expect(reading).rejects.toThrow('stopped')
})
