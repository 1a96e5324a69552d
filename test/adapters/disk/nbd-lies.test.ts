import { describe, expect, it } from 'vitest'
import { type NbdSourceOptions, openNbdSource } from '../../../lib/adapters/disk/nbd-source.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import {
  chunk,
  dataChunk,
  type FakePeer,
  type FakeRequest,
  fakeNbd,
  greeting,
  holeChunk,
  optionReply,
  simpleReply,
  statusChunk,
  u16,
  u32,
  u64,
} from './fake-nbd.ts'

const signal = new AbortController().signal
const cancel = { signal }
const size = 1024 * 1024

function open(unix: string, options: Partial<NbdSourceOptions> = {}) {
  const limits = { connectLimitMs: 2_000, closeLimitMs: 500 }
  const base = { address: { unix }, exportName: 'disk', clock: systemClock, random: seededRandom(1) }
  return openNbdSource({ ...base, ...limits, ...options }, cancel)
}

/** Opens an ordinary export, reads 4096 bytes at 8192, and lets the server answer as it likes. */
async function readFrom(
  answer: (request: FakeRequest) => Buffer,
  exported: { readonly structured?: boolean } = {},
): Promise<Uint8Array> {
  const server = await fakeNbd(async (peer) => {
    await peer.negotiate({ size, ...exported })
    peer.send(answer(await peer.request()))
    await peer.serve()
  })
  await using source = await open(server.unix)
  const target = new Uint8Array(4096).fill(9)
  await source.read({ offsetBytes: 8192, target }, cancel)
  return target
}

const bytes = (length: number, value = 1) => Buffer.alloc(length, value)

describe('a server that breaks the protocol in an answer', () => {
  const lies: Readonly<Record<string, (request: FakeRequest) => Buffer>> = {
    'a wrong magic number': () => Buffer.concat([u32(0xdeadbeef), bytes(4096)]),
    'a handle that nobody waits for': (request) => dataChunk({ ...request, handle: u64(99n) }, 8192, bytes(4096)),
    'a handle beyond the safe integers': (request) =>
      dataChunk({ ...request, handle: u64(0xffff_ffff_ffff_ffffn) }, 8192, bytes(4096)),
    'data before the range': (request) => dataChunk(request, 8191, bytes(4096)),
    'data behind the range': (request) => dataChunk(request, 8192 + 4095, bytes(2)),
    'data at an offset beyond the safe integers': (request) =>
      chunk(request, 1, Buffer.concat([u64(0xffff_ffff_ffff_f000n), bytes(16)])),
    'more data than was asked for': (request) => dataChunk(request, 8192, bytes(4097)),
    'the same bytes twice': (request) =>
      Buffer.concat([dataChunk(request, 8192, bytes(4096), 0), dataChunk(request, 9000, bytes(1))]),
    'a hole over data': (request) =>
      Buffer.concat([dataChunk(request, 8192, bytes(4096), 0), holeChunk(request, 8192, 4096)]),
    'a hole outside the range': (request) => holeChunk(request, 0, 4096),
    'a hole of no bytes': (request) => holeChunk(request, 8192, 0),
    'too few bytes': (request) => dataChunk(request, 8192, bytes(4095)),
    'no bytes, and success': (request) => chunk(request, 0),
    'a data chunk without data': (request) => chunk(request, 1, u64(8192)),
    'a data chunk too short for its offset': (request) => chunk(request, 1, u32(0)),
    'a hole chunk of a wrong length': (request) => chunk(request, 2, bytes(13)),
    'an empty chunk that is not the last': (request) => chunk(request, 0, Buffer.alloc(0), 0),
    'an empty chunk with a payload': (request) => chunk(request, 0, bytes(4)),
    'an unknown type of chunk': (request) => chunk(request, 77, bytes(8)),
    'block status where data was asked for': (request) => statusChunk(request, 0, [[4096, 0]]),
    'an error chunk without an error': (request) => chunk(request, 0x8001, Buffer.concat([u32(0), u16(0)])),
    'an error chunk whose message is longer than the chunk': (request) =>
      chunk(request, 0x8001, Buffer.concat([u32(5), u16(50)])),
    'an error chunk that points outside the range': (request) =>
      chunk(request, 0x8002, Buffer.concat([u32(5), u16(0), u64(1)])),
    'an endless error chunk': (request) =>
      Buffer.concat([u32(0x668e33ef), u16(1), u16(0x8001), request.handle, u32(2 ** 31)]),
    'a simple reply with data': (request) => simpleReply(request, 0, bytes(4096)),
  }

  for (const [lie, answer] of Object.entries(lies)) {
    it(`is refused: ${lie}`, async () => {
      await expect(readFrom(answer)).rejects.toMatchObject({ code: 'nbd-protocol' })
    })
  }

  it('is refused: a structured reply that was never agreed on', async () => {
    const reading = readFrom((request) => dataChunk(request, 8192, bytes(4096)), { structured: false })
    await expect(reading).rejects.toMatchObject({ code: 'nbd-protocol' })
  })

  it('fails every waiting read, and every later one without asking again', async () => {
    const server = await fakeNbd(async (peer) => {
      await peer.negotiate({ size })
      await peer.request()
      peer.send(bytes(64))
      await peer.serve()
    })
    await using source = await open(server.unix)
    const reads = [0, 1, 2].map((block) => {
      return source.read({ offsetBytes: block * 4096, target: new Uint8Array(4096) }, cancel)
    })
    const failures = await Promise.allSettled(reads)
    for (const result of failures) expect(result).toMatchObject({ reason: { code: 'nbd-protocol' } })
    const later = source.read({ offsetBytes: 0, target: new Uint8Array(1) }, cancel)
    await expect(later).rejects.toMatchObject({ code: 'nbd-protocol' })
    expect(server.connections()).toBe(1)
  })
})

describe('a server that answers within the protocol', () => {
  it('may send chunks in any order, holes among them', async () => {
    const read = await readFrom((request) =>
      Buffer.concat([
        dataChunk(request, 8192 + 4000, bytes(96, 3), 0),
        holeChunk(request, 8192 + 100, 3900, 0),
        dataChunk(request, 8192, bytes(100, 2), 0),
        chunk(request, 0),
      ]),
    )
    expect(Buffer.from(read)).toEqual(Buffer.concat([bytes(100, 2), bytes(3900, 0), bytes(96, 3)]))
  })

  it('may use simple replies when structured ones were not agreed on', async () => {
    const read = await readFrom((request) => simpleReply(request, 0, bytes(4096, 4)), { structured: false })
    expect(Buffer.from(read)).toEqual(bytes(4096, 4))
  })

  it('may refuse a read, with its errno and message in the error, and the next read succeeds', async () => {
    const said = Buffer.from('bad sector')
    const refusals = [
      (request: FakeRequest) => chunk(request, 0x8001, Buffer.concat([u32(5), u16(said.length), said])),
      (request: FakeRequest) => chunk(request, 0x8002, Buffer.concat([u32(5), u16(said.length), said, u64(8200)])),
      (request: FakeRequest) =>
        Buffer.concat([
          dataChunk(request, 8192, bytes(10), 0),
          chunk(request, 0x8001, Buffer.concat([u32(5), u16(said.length), said]), 0),
          chunk(request, 0),
        ]),
    ]
    const server = await fakeNbd(async (peer) => {
      await peer.negotiate({ size })
      for (const refusal of refusals) peer.send(refusal(await peer.request()))
      peer.send(simpleReply(await peer.request(), 108))
      peer.send(chunk(await peer.request(), 0x8077, Buffer.concat([u32(99), u16(0)])))
      await peer.serve()
    })
    await using source = await open(server.unix)
    const read = () => source.read({ offsetBytes: 8192, target: new Uint8Array(4096) }, cancel)
    for (const _ of refusals) {
      await expect(read()).rejects.toMatchObject({
        code: 'disk-read-failed',
        retry: 'later',
        message: expect.stringContaining('EIO: "bad sector"'),
        facts: { errno: 'EIO', offsetBytes: 8192, lengthBytes: 4096 },
      })
    }
    await expect(read()).rejects.toMatchObject({ code: 'disk-read-failed', facts: { errno: 'ESHUTDOWN' } })
    await expect(read()).rejects.toMatchObject({ code: 'disk-read-failed', facts: { errno: 'errno 99' } })
    await read()
    server.check()
    expect(server.connections()).toBe(1)
  })
})

describe('block status', () => {
  const allocationOf = async (
    answer: (request: FakeRequest) => Buffer,
    range = { offsetBytes: 0, lengthBytes: size },
  ) => {
    const requests: FakeRequest[] = []
    const server = await fakeNbd(async (peer) => {
      await peer.negotiate({ size, context: 7, blocks: [512, 4096, 0xffff_ffff] })
      for (;;) {
        const request = await peer.request()
        if (request.command === 2) return void peer.socket.end()
        requests.push(request)
        peer.send(answer(request))
      }
    })
    await using source = await open(server.unix)
    const runs = await source.allocation(range, cancel)
    return { runs, requests }
  }

  it('is asked until the range is covered, joined, and cut to the range', async () => {
    // Two runs an answer, each ending at the next 64 KiB; the first half of the disk is zero, with flags that vary.
    const answer = (request: FakeRequest) => {
      const first = 65_536 - (request.offset % 65_536)
      const zero = request.offset < 524_288
      return statusChunk(request, 7, [
        [first, zero ? 3 : 0],
        [65_536, request.offset + first < 524_288 ? 2 : 1],
      ])
    }
    const { runs, requests } = await allocationOf(answer, { offsetBytes: 1000, lengthBytes: size - 2000 })
    expect(runs).toEqual([
      { offsetBytes: 1000, lengthBytes: 524_288 - 1000, kind: 'zero' },
      { offsetBytes: 524_288, lengthBytes: 524_288 - 1000, kind: 'data' },
    ])
    expect(requests.length).toBe(8)
    expect(requests.every(({ offset, length }) => offset % 512 === 0 && length % 512 === 0)).toBe(true)
  })

  it('takes a last run that reaches beyond what was asked', async () => {
    const range = { offsetBytes: 0, lengthBytes: 4096 }
    const { runs } = await allocationOf((request) => statusChunk(request, 7, [[size, 2]]), range)
    expect(runs).toEqual([{ ...range, kind: 'zero' }])
  })

  it('that the server refuses means "data", for it only saves reading', async () => {
    const { runs } = await allocationOf((request) => simpleReply(request, 22))
    expect(runs).toEqual([{ offsetBytes: 0, lengthBytes: size, kind: 'data' }])
  })

  const lies: Readonly<Record<string, (request: FakeRequest) => Buffer>> = {
    'another context': (request) => statusChunk(request, 8, [[size, 0]]),
    'a run of no bytes': (request) => statusChunk(request, 7, [[0, 0]]),
    'no run at all': (request) => chunk(request, 5, u32(7)),
    'half a run': (request) => chunk(request, 5, Buffer.concat([u32(7), bytes(12)])),
    'success without a word': (request) => chunk(request, 0),
    data: (request) => dataChunk(request, request.offset, bytes(8)),
    'a hole': (request) => holeChunk(request, request.offset, 8),
    'a simple success': (request) => simpleReply(request),
  }
  for (const [lie, answer] of Object.entries(lies)) {
    it(`is refused when the answer is ${lie}`, async () => {
      await expect(allocationOf(answer)).rejects.toMatchObject({ code: 'nbd-protocol' })
    })
  }
})

describe('a server that breaks the negotiation', () => {
  const opened = async (script: (peer: FakePeer) => Promise<void>) => {
    const server = await fakeNbd(script)
    await using _ = await open(server.unix)
  }
  const option = async (peer: FakePeer) => {
    const head = await peer.take(16)
    await peer.take(head.readUInt32BE(12))
    return head.readUInt32BE(8)
  }
  const afterGreeting = (reply: (asked: number) => Buffer) => async (peer: FakePeer) => {
    peer.send(greeting())
    await peer.take(4)
    for (;;) peer.send(reply(await option(peer)))
  }
  const facts = (exported: Buffer) => (asked: number) =>
    asked === 7 ? Buffer.concat([optionReply(7, 3, exported), optionReply(7, 1)]) : optionReply(asked, 0x8000_0001)

  const lies: Readonly<Record<string, (peer: FakePeer) => Promise<void>>> = {
    'it is something else': async (peer) => peer.send(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
    'it speaks oldstyle': async (peer) => peer.send(Buffer.from('NBDMAGIC\0\0\x42\x02\x81\x86\x12\x53', 'latin1')),
    'it does not speak fixed newstyle': async (peer) => peer.send(greeting(0)),
    'it answers with a wrong magic number': afterGreeting(() => bytes(20)),
    'it answers another option': afterGreeting(() => optionReply(3, 1)),
    'its answer is endless': afterGreeting((asked) => optionReply(asked, 3, bytes(70_000))),
    'it never ends its answers': afterGreeting((asked) => {
      return Buffer.concat(Array.from({ length: 100 }, () => optionReply(asked, 3, u16(9))))
    }),
    'it opens the export without a size': afterGreeting((asked) => optionReply(asked, 1)),
    'its description of the export is short': afterGreeting(facts(Buffer.concat([u16(0), u64(size)]))),
    'its export is larger than anything': afterGreeting(facts(Buffer.concat([u16(0), u64(2n ** 63n), u16(1)]))),
    'its flags are not marked as flags': afterGreeting(facts(Buffer.concat([u16(0), u64(size), u16(0)]))),
    'its smallest block is not a power of two': (peer) => peer.negotiate({ size, blocks: [1000, 4096, 65_536] }),
    'its largest block is smaller than its smallest': (peer) => peer.negotiate({ size, blocks: [4096, 4096, 512] }),
    'it speaks before it is asked': (peer) => peer.negotiate({ size, trailing: bytes(16) }),
  }
  for (const [lie, script] of Object.entries(lies)) {
    it(`is refused: ${lie}`, async () => {
      await expect(opened(script)).rejects.toMatchObject({ code: 'nbd-protocol' })
    })
  }

  it('is told from one that hangs up, at any byte of the negotiation', async () => {
    const whole = Buffer.concat([greeting(), optionReply(8, 1), optionReply(10, 0x8000_0001)])
    for (const length of [0, 5, 17, 18, 30, whole.length - 1, whole.length]) {
      const opening = opened(async (peer) => {
        peer.send(whole.subarray(0, length))
        peer.socket.end()
      })
      await expect(opening).rejects.toMatchObject({ code: 'nbd-connect-failed', retry: 'later' })
    }
  })

  it('is told from one that is silent', async () => {
    const server = await fakeNbd(async (peer) => void (await peer.take(1)))
    const opening = open(server.unix, { connectLimitMs: 200 })
    await expect(opening).rejects.toMatchObject({
      code: 'nbd-connect-failed',
      message: expect.stringContaining('0.2 s'),
    })
  })

  it('is told from one that refuses the export, or plain connections', async () => {
    const refusing = (type: number) => afterGreeting((asked) => optionReply(asked, type, Buffer.from('no')))
    await expect(opened(refusing(0x8000_0006))).rejects.toMatchObject({ code: 'nbd-export-unknown', kind: 'not-found' })
    await expect(opened(refusing(0x8000_0002))).rejects.toMatchObject({ code: 'nbd-refused' })
    await expect(opened(refusing(0x8000_0005))).rejects.toMatchObject({ code: 'nbd-tls-required', kind: 'refused' })
  })

  it('never gets a plain byte from a client that asked for TLS', async () => {
    let more = 0
    const server = await fakeNbd(async (peer) => {
      peer.send(greeting())
      await peer.take(4)
      const asked = await option(peer)
      peer.send(optionReply(asked, 0x8000_0001))
      // Only the polite end of the negotiation may follow.
      const next = await option(peer)
      if (next !== 2) more++
    })
    const opening = open(server.unix, { address: { unix: server.unix, tls: { serverName: 'nbd.test' } } })
    await expect(opening).rejects.toMatchObject({ code: 'nbd-tls-failed', kind: 'refused' })
    expect(more).toBe(0)
  })

  it('cannot slip plain bytes in front of TLS', async () => {
    const server = await fakeNbd(async (peer) => {
      peer.send(greeting())
      await peer.take(4)
      const asked = await option(peer)
      peer.send(optionReply(asked, 1), optionReply(8, 1))
      await peer.take(1)
    })
    const opening = open(server.unix, { address: { unix: server.unix, tls: { serverName: 'nbd.test' } } })
    await expect(opening).rejects.toMatchObject({ code: 'nbd-protocol' })
  })
})
