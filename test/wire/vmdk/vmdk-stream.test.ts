// decodeVmdkStream(): the disk comes out as it went in, and nothing that is not whole comes to its end.

import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesEqual, concatBytes, KiB, MiB } from '../../../lib/base/bytes.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import { decodeVmdkStream } from '../../../lib/wire/vmdk/vmdk-stream.ts'
import {
  type EncodeOptions,
  encodeVmdkStream,
  metadataBytes,
  type Segment,
  vmdkSegments,
} from '../../kit/vmdk-stream.ts'

/** In pieces of `pieceBytes`, as a connection might cut it. */
async function* piecesOf(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

async function decoded(stream: Uint8Array, pieceBytes = 16 * KiB): Promise<Uint8Array> {
  const { capacityBytes, grains } = await decodeVmdkStream(piecesOf(stream, pieceBytes))
  const disk = new Uint8Array(capacityBytes)
  for await (const { offsetBytes, bytes } of grains) disk.set(bytes, offsetBytes)
  return disk
}

async function failureOf(stream: Uint8Array): Promise<BackupError> {
  try {
    await decoded(stream)
  } catch (error) {
    if (error instanceof BackupError) return error
    throw error
  }
  throw new Error('the stream was taken for whole')
}

/** 40 grains of 64 KiB and a piece of one, some of them empty; over two tables of 32 grains. */
function sampleImage(): Uint8Array {
  const image = new Uint8Array(40 * 64 * KiB + 3 * 512)
  const random = seededRandom(3)
  image.set(random.bytes(100_000), 5_000)
  image.set(new Uint8Array(70_000).fill(7), MiB)
  image.set(random.bytes(65_536), 36 * 65_536)
  image.set(random.bytes(700), image.byteLength - 700)
  return image
}
const shape: EncodeOptions = { entriesPerTable: 128 }
const image = sampleImage()

const join = (segments: readonly Segment[]) => concatBytes(segments.map(({ bytes }) => bytes))
const indexOf = (segments: readonly Segment[], kind: Segment['kind']) => segments.findIndex((one) => one.kind === kind)
const changed = (bytes: Uint8Array, at: number, value: number): Uint8Array => {
  const copy = Uint8Array.from(bytes)
  copy[at] = value
  return copy
}

describe('decodeVmdkStream()', () => {
  it('gives the disk that was encoded, whatever its size, its grains and the cut of the stream', async () => {
    const disks = fc.record({
      sectors: fc.integer({ min: 1, max: 3_000 }),
      grainSectors: fc.constantFrom(8, 16, 128),
      seed: fc.integer({ min: 1, max: 1_000 }),
      runs: fc.array(fc.tuple(fc.nat(2_999), fc.integer({ min: 1, max: 90 }), fc.boolean()), { maxLength: 12 }),
      pieceBytes: fc.constantFrom(1, 511, 4_096, 1_000_000),
    })
    await fc.assert(
      fc.asyncProperty(disks, async ({ sectors, grainSectors, seed, runs, pieceBytes }) => {
        const disk = new Uint8Array(sectors * 512)
        const random = seededRandom(seed)
        for (const [start, length, noise] of runs) {
          const part = disk.subarray(start * 512, (start + length) * 512)
          if (noise) part.set(random.bytes(part.byteLength))
          else part.fill(seed % 256)
        }
        const stream = encodeVmdkStream(disk, { grainSectors, entriesPerTable: 128 })
        expect(bytesEqual(await decoded(stream, Math.max(pieceBytes, stream.byteLength / 2_000)), disk)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it('tells capacity and content id before the first grain', async () => {
    const stream = await decodeVmdkStream(piecesOf(encodeVmdkStream(image, shape), 4_096))
    expect(stream).toMatchObject({ capacityBytes: image.byteLength, contentId: '2b1cd3f7' })
  })

  it('takes no stream for whole that ends early, wherever', async () => {
    const stream = encodeVmdkStream(image, shape)
    const ends = fc.integer({ min: 0, max: stream.byteLength - 1 })
    const examples = [[512], [65_536], [stream.byteLength - 512], [stream.byteLength - 1_024], [0]] as [number][]
    await fc.assert(
      fc.asyncProperty(ends, async (end) => {
        const failure = await failureOf(stream.subarray(0, end))
        expect(failure).toMatchObject({ code: 'vmdk-stream-malformed', retry: 'later', facts: { offsetBytes: end } })
      }),
      { numRuns: 40, examples },
    )
  })

  it('gives no wrong byte and no false end when one byte of the stream is another', async () => {
    const stream = encodeVmdkStream(image, shape)
    await fc.assert(
      fc.asyncProperty(fc.nat(stream.byteLength - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const damaged = changed(stream, at, (stream[at] ?? 0) ^ flip)
        const result = await decoded(damaged).catch((error: unknown) => error)
        // Padding, and texts that nobody reads, may be another: then the disk is still the disk.
        if (result instanceof Uint8Array) expect(bytesEqual(result, image)).toBe(true)
        else expect(result).toBeInstanceOf(BackupError)
      }),
      { numRuns: 150 },
    )
  })

  it('refuses a stream from which a grain was left out, or in which one lies elsewhere, though every grain is whole', async () => {
    const segments = vmdkSegments(image, shape)
    const first = indexOf(segments, 'grain')
    const without = await failureOf(join(segments.toSpliced(first, 1)))
    expect(without.code).toBe('vmdk-stream-malformed')
    const lists = vmdkSegments(image, { ...shape, order: [0, 1, 16] })
    const table = lists[indexOf(lists, 'table')]
    if (table === undefined) throw new Error('there is a table')
    expect((await failureOf(join(segments.with(indexOf(segments, 'table'), table)))).message).toContain(
      'grain table 0 at sector',
    )
  })

  it('refuses a directory that leaves a table out, names one twice, or names none that came', async () => {
    const segments = vmdkSegments(image, shape)
    const at = indexOf(segments, 'directory')
    const wide = vmdkSegments(concatBytes([image, image, image, image]), shape)
    const wideAt = indexOf(wide, 'directory')
    const directory = segments[at]?.bytes ?? new Uint8Array()
    const wideDirectory = wide[wideAt]?.bytes ?? new Uint8Array()
    const put = (bytes: Uint8Array) => join(segments.with(at, { kind: 'directory', bytes }))
    const putWide = (bytes: Uint8Array) => join(wide.with(wideAt, { kind: 'directory', bytes }))
    const emptied = Uint8Array.from(directory).fill(0, 512, 516)
    expect((await failureOf(put(emptied))).message).toContain('has no table 0')
    expect((await failureOf(put(changed(directory, 513, 99)))).message).toContain('where none came')
    const twice = Uint8Array.from(wideDirectory)
    twice.copyWithin(516, 512, 516)
    expect((await failureOf(putWide(twice))).message).toContain('lists a table twice')
    expect((await failureOf(put(changed(directory, 516, 1)))).message).toContain('beyond the capacity')
  })

  it.each<readonly [string, EncodeOptions, string]>([
    ['twice', { order: [0, 1, 1, 16] }, 'comes twice'],
    ['out of order', { order: [0, 16, 1] }, 'comes after later ones'],
    ['that is a bomb', { pack: () => deflateSync(new Uint8Array(2 * MiB)) }, 'more than its 65536 bytes'],
    ['that is short', { pack: (bytes) => deflateSync(bytes.subarray(1)) }, 'has 65535 bytes, and must have'],
    ['that says it is huge', { pack: () => seededRandom(1).bytes(100_000) }, '100000 bytes compressed'],
    ['that is no deflate', { pack: (bytes) => bytes.subarray(0, 900) }, 'cannot be decompressed'],
    ['whose deflate is cut', { pack: (bytes) => deflateSync(bytes).subarray(0, 60) }, 'cannot be decompressed'],
  ])('refuses a grain %s', async (_, options, words) => {
    const failure = await failureOf(encodeVmdkStream(image, { ...shape, ...options }))
    expect(failure.message).toContain(words)
    expect(failure.message).toMatch(/at byte \d+/)
  })

  it('refuses grains outside the disk and inside another', async () => {
    const segments = vmdkSegments(image, shape)
    const at = indexOf(segments, 'grain')
    const grain = segments[at]?.bytes ?? new Uint8Array()
    const put = (index: number, value: number) =>
      failureOf(join(segments.with(at, { kind: 'grain', bytes: changed(grain, index, value) })))
    expect((await put(0, 1)).message).toContain('inside another one')
    expect((await put(5, 1)).message).toContain('outside the disk')
  })

  it('refuses an end without footer, a footer of another disk, and anything after the end', async () => {
    const segments = vmdkSegments(image, shape)
    const footer = indexOf(segments, 'footer')
    expect((await failureOf(join(segments.toSpliced(footer, 1)))).message).toContain('without a footer')
    const other = vmdkSegments(image.subarray(0, 64 * KiB * 32), shape)
    const otherFooter = other[indexOf(other, 'footer')]
    if (otherFooter === undefined) throw new Error('there is a footer')
    expect((await failureOf(join(segments.with(footer, otherFooter)))).message).toContain('another disk')
    for (const more of [new Uint8Array(1), new Uint8Array(512), join(segments)])
      expect((await failureOf(concatBytes([join(segments), more]))).code).toBe('vmdk-stream-malformed')
    const late = segments.toSpliced(footer, 0, ...segments.filter(({ kind }) => kind === 'grain').slice(0, 1))
    expect((await failureOf(join(late))).message).toContain('after the grain directory')
    const unknown: Segment = { kind: 'table', bytes: metadataBytes(9, new Uint8Array(512)) }
    expect((await failureOf(join(segments.toSpliced(2, 0, unknown)))).message).toContain('marker of type 9')
  })

  it.each<readonly [string, number, number, string]>([
    ['magic', 0, 0x4c, 'no VMDK header'],
    ['version', 4, 2, 'its version is 2'],
    ['flags that every reader must know', 11, 1, 'ask for what is not known'],
    ['markers', 10, 1, 'not stream-optimized'],
    ['compression', 77, 2, 'its compression is 2'],
    ['grain size', 20, 129, 'must be a power of two'],
    ['line ends', 73, 13, 'copied as text'],
    ['capacity', 12, 9, 'sectors, its header'],
    ['vast capacity', 18, 1, 'more than'],
  ])('refuses a header with other %s', async (_, at, value, words) => {
    const failure = await failureOf(changed(encodeVmdkStream(image, shape), at, value))
    expect(failure.message).toContain(words)
  })

  it('refuses the stream of a delta', async () => {
    const failure = await failureOf(encodeVmdkStream(image, { ...shape, parentCid: '12345678' }))
    expect(failure).toMatchObject({ code: 'vmdk-stream-unsupported', retry: 'no' })
    expect(failure.message).toContain('a delta of another disk')
  })
})
