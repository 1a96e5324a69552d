import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { coverage } from '../../../lib/adapters/disk/nbd-coverage.ts'
import { type PendingRead, ReplyReader } from '../../../lib/adapters/disk/nbd-replies.ts'
import { chunk, dataChunk, type FakeRequest, holeChunk, simpleReply, u64 } from './fake-nbd.ts'

describe('coverage()', () => {
  it('accepts every byte once, in any order, and knows when all are there', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 199 }), { maxLength: 30 })
    const shuffled = cuts.chain((inner) => {
      const edges = [0, ...inner.toSorted((a, b) => a - b), 200]
      const ranges = edges.slice(1).map((end, index) => [edges[index] ?? 0, end] as const)
      return fc.shuffledSubarray(ranges, { minLength: ranges.length })
    })
    fc.assert(
      fc.property(shuffled, (ranges) => {
        const covered = coverage()
        for (const [start, end] of ranges) {
          expect(covered.complete(200)).toBe(false)
          expect(covered.add(start, end)).toBe(true)
          expect(covered.add(start, end)).toBe(false)
        }
        expect(covered.complete(200)).toBe(true)
      }),
    )
  })

  it('refuses exactly the ranges that overlap an accepted one', () => {
    const range = fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 10 }))
    fc.assert(
      fc.property(fc.array(range, { maxLength: 40 }), (ranges) => {
        const covered = coverage()
        const seen = new Set<number>()
        for (const [start, length] of ranges) {
          const bytes = Array.from({ length }, (_, index) => start + index)
          const free = !bytes.some((byte) => seen.has(byte))
          expect(covered.add(start, start + length)).toBe(free)
          if (free) for (const byte of bytes) seen.add(byte)
        }
        expect(covered.complete(41)).toBe(seen.size === 41 && [...seen].every((byte) => byte < 41))
      }),
    )
  })
})

type Plan = { readonly reads: readonly Read[]; readonly stream: Buffer }
type Read = { readonly request: FakeRequest; readonly expected: Buffer; readonly refused: boolean }

/** A stream of replies to four reads: cut into chunks, chunks of different reads interleaved, some holes, some errors. */
function plans(structured: boolean): fc.Arbitrary<Plan> {
  const one = fc.record({
    offset: fc.nat(2 ** 40),
    data: fc.uint8Array({ minLength: 1, maxLength: 300 }),
    cuts: fc.array(fc.nat(300), { maxLength: 4 }),
    holes: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
    refused: fc.boolean(),
  })
  return fc.tuple(fc.array(one, { minLength: 4, maxLength: 4 }), fc.infiniteStream(fc.nat(3))).map(([parts, picks]) => {
    const queues: Buffer[][] = []
    const reads = parts.map((part, index): Read => {
      const expected = Buffer.from(part.data)
      const request = { command: 0, handle: u64(index), offset: part.offset, length: expected.length }
      queues.push(
        structured ? structuredChunks(request, { ...part, expected }) : [simple(request, part.refused, expected)],
      )
      return { request, expected, refused: part.refused }
    })
    const pieces: Buffer[] = []
    while (queues.some((queue) => queue.length > 0)) {
      const piece = queues[picks.next().value ?? 0]?.shift()
      if (piece !== undefined) pieces.push(piece)
    }
    return { reads, stream: Buffer.concat(pieces) }
  })
}

const simple = (request: FakeRequest, refused: boolean, data: Buffer) =>
  refused ? simpleReply(request, 5) : simpleReply(request, 0, data)

function structuredChunks(
  request: FakeRequest,
  part: {
    readonly expected: Buffer
    readonly cuts: readonly number[]
    readonly holes: readonly boolean[]
    readonly refused: boolean
  },
): Buffer[] {
  const { expected, holes } = part
  const inner = [...new Set(part.cuts)].filter((cut) => cut > 0 && cut < expected.length)
  const edges = [0, ...inner.toSorted((a, b) => a - b), expected.length]
  const chunks = edges.slice(1).map((end, index) => {
    const start = edges[index] ?? 0
    if (holes[index] !== true) return dataChunk(request, request.offset + start, expected.subarray(start, end), 0)
    expected.fill(0, start, end)
    return holeChunk(request, request.offset + start, end - start, 0)
  })
  const last = part.refused ? chunk(request, 0x8001, Buffer.from([0, 0, 0, 5, 0, 2, 111, 104])) : chunk(request, 0)
  return [...chunks.toReversed(), last]
}

describe('ReplyReader', () => {
  for (const structured of [true, false]) {
    it(`gives the same ${structured ? 'structured' : 'simple'} replies however the stream is cut`, () => {
      fc.assert(
        fc.property(plans(structured), fc.array(fc.integer({ min: 1, max: 60 })), ({ reads, stream }, cuts) => {
          const pending = new Map(reads.map((read, handle) => [handle, pendingRead(read.request)]))
          const settled: number[] = []
          const reader = new ReplyReader<PendingRead>({
            structured,
            find: (handle) => pending.get(handle),
            settle: (handle) => settled.push(handle),
          })
          for (let at = 0, cut = 0; at < stream.length; cut++) {
            const fragment = Buffer.from(stream.subarray(at, at + (cuts[cut] ?? 1000)))
            reader.push(fragment, fragment.length)
            fragment.fill(0xee)
            at += fragment.length
          }
          expect(settled.toSorted()).toEqual([0, 1, 2, 3])
          for (const [handle, read] of reads.entries()) {
            const { target, refusal } = pending.get(handle) ?? pendingRead(read.request)
            if (read.refused) expect(refusal?.errno).toBe(5)
            else expect(Buffer.from(target ?? [])).toEqual(read.expected)
          }
        }),
      )
    })
  }
})

function pendingRead(request: FakeRequest): PendingRead {
  return {
    kind: 'read',
    offsetBytes: request.offset,
    lengthBytes: request.length,
    target: new Uint8Array(request.length).fill(0xcc),
    covered: coverage(),
    refusal: null,
  }
}
