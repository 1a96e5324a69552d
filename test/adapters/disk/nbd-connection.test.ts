// How the NBD source behaves when connections are slow, lost or many: against a scripted server.

import { describe, expect, it } from 'vitest'
import { type NbdSourceOptions, openNbdSource } from '../../../lib/adapters/disk/nbd-source.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import { chunk, dataChunk, type FakePeer, type FakeRequest, fakeNbd } from './fake-nbd.ts'

const signal = new AbortController().signal
const cancel = { signal }
const size = 1024 * 1024

function open(unix: string, options: Partial<NbdSourceOptions> = {}) {
  const limits = { connectLimitMs: 2_000, closeLimitMs: 1_000 }
  const base = { address: { unix }, exportName: 'disk', clock: systemClock, random: seededRandom(1) }
  return openNbdSource({ ...base, ...limits, ...options }, cancel)
}

/** Every byte is the number of its 4096-byte block. */
const blockData = ({ offset, length }: FakeRequest) => Buffer.alloc(length, offset / 4096)
const answerTo = (request: FakeRequest) => dataChunk(request, request.offset, blockData(request))

/** Answers every read until the client leaves. @returns whether it left with the disconnect command */
async function serveAll(peer: FakePeer): Promise<void> {
  for (;;) {
    const request = await peer.request()
    if (request.command === 2) return void peer.socket.end()
    peer.send(answerTo(request))
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('a lost connection', () => {
  it('is replaced, and unanswered reads are sent again', async () => {
    const server = await fakeNbd(async (peer, client) => {
      await peer.negotiate({ size })
      if (client >= 2) return serveAll(peer)
      const request = await peer.request()
      // The first client gets half an answer, the second none.
      if (client === 0) peer.send(answerTo(request).subarray(0, 1000))
      peer.socket.end()
    })
    await using source = await open(server.unix)
    const targets = Array.from({ length: 8 }, () => new Uint8Array(4096))
    await Promise.all(targets.map((target, block) => source.read({ offsetBytes: block * 4096, target }, cancel)))
    for (const [block, target] of targets.entries()) expect(target).toEqual(new Uint8Array(4096).fill(block))
    expect(server.connections()).toBe(3)
  })

  it('fails the read when connections are lost again and again, a bounded number of times', async () => {
    const server = await fakeNbd(async (peer) => {
      await peer.negotiate({ size })
      await peer.request()
      peer.socket.destroy()
    })
    await using source = await open(server.unix, { replaysMax: 2 })
    const read = source.read({ offsetBytes: 0, target: new Uint8Array(4096) }, cancel)
    await expect(read).rejects.toMatchObject({ code: 'disk-read-failed', retry: 'later' })
    expect(server.connections()).toBe(3)
  })

  it('fails the read when the export has become another', async () => {
    const server = await fakeNbd(async (peer, client) => {
      await peer.negotiate({ size: client === 0 ? size : size * 2 })
      if (client === 0) peer.socket.end()
      else await serveAll(peer)
    })
    await using source = await open(server.unix)
    const read = source.read({ offsetBytes: 0, target: new Uint8Array(4096) }, cancel)
    await expect(read).rejects.toMatchObject({ code: 'disk-read-failed', facts: { sizeBytes: size * 2 } })
  })
})

describe('a request without an answer', () => {
  it('is given up after its limit and sent again; the late answer goes nowhere', async () => {
    let late: (() => void) | undefined
    const server = await fakeNbd(async (peer, client) => {
      await peer.negotiate({ size })
      if (client > 0) return serveAll(peer)
      const request = await peer.request()
      late = () => peer.send(dataChunk(request, request.offset, Buffer.alloc(4096, 0xbb)))
      await serveAll(peer)
    })
    await using source = await open(server.unix, { requestLimitMs: 200 })
    const target = new Uint8Array(4096)
    await source.read({ offsetBytes: 4096, target }, cancel)
    expect(target).toEqual(new Uint8Array(4096).fill(1))
    late?.()
    await pause(50)
    expect(target).toEqual(new Uint8Array(4096).fill(1))
    expect(server.connections()).toBe(2)
  })

  it('that trickles in is still bounded, and the old connection is not reset while answers are due', async () => {
    let reset = false
    let goodbye = false
    const server = await fakeNbd(async (peer, client) => {
      await peer.negotiate({ size })
      if (client > 0) return serveAll(peer)
      peer.socket.on('error', () => {
        reset = true
      })
      const request = await peer.request()
      await pause(400)
      peer.send(answerTo(request))
      goodbye = (await peer.request()).command === 2
      peer.socket.end()
    })
    const source = await open(server.unix, { requestLimitMs: 200 })
    await source.read({ offsetBytes: 0, target: new Uint8Array(4096) }, cancel)
    await source[Symbol.asyncDispose]()
    expect({ reset, goodbye }).toEqual({ reset: false, goodbye: true })
  })
})

describe('a cancelled read', () => {
  it('rejects at once, is never written to, and its answer is awaited before the goodbye', async () => {
    const order: string[] = []
    let answer: (() => void) | undefined
    const server = await fakeNbd(async (peer) => {
      await peer.negotiate({ size })
      const request = await peer.request()
      const whole = answerTo({ ...request, offset: request.offset })
      peer.send(whole.subarray(0, 2000))
      answer = () => {
        order.push('answer')
        peer.send(whole.subarray(2000))
      }
      if ((await peer.request()).command === 2) order.push('goodbye')
      peer.socket.end()
    })
    const source = await open(server.unix)
    const stop = new AbortController()
    const target = new Uint8Array(4096)
    const read = source.read({ offsetBytes: 8192, target }, { signal: stop.signal })
    while (target[0] === 0) await pause(5)
    stop.abort(new Error('enough'))
    await expect(read).rejects.toThrow('enough')
    target.fill(0xee)
    const disposed = source[Symbol.asyncDispose]()
    await pause(30)
    expect(order).toEqual([])
    answer?.()
    await disposed
    expect(order).toEqual(['answer', 'goodbye'])
    expect(target).toEqual(new Uint8Array(4096).fill(0xee))
  })

  it('keeps its place on the connection until the answer is in', async () => {
    const waiting: FakeRequest[] = []
    let outstandingMax = 0
    const server = await fakeNbd(async (peer) => {
      await peer.negotiate({ size })
      for (;;) {
        const request = await peer.request()
        if (request.command === 2) return void peer.socket.end()
        waiting.push(request)
        outstandingMax = Math.max(outstandingMax, waiting.length)
        setTimeout(() => peer.send(answerTo(waiting.shift() ?? request)), 5)
      }
    })
    await using source = await open(server.unix, { readsMax: 4 })
    for (let round = 0; round < 10; round++) {
      const stop = new AbortController()
      const reads = Array.from({ length: 8 }, () => {
        return source.read({ offsetBytes: 0, target: new Uint8Array(512) }, { signal: stop.signal })
      })
      const settled = Promise.allSettled(reads)
      await pause(2)
      stop.abort()
      await settled
    }
    expect(outstandingMax).toBeLessThanOrEqual(4)
  })
})

describe('several connections', () => {
  const clientsFor = async (flags: number) => {
    const server = await fakeNbd(async (peer) => {
      await peer.negotiate({ size, flags })
      for (;;) {
        const request = await peer.request()
        if (request.command === 2) return void peer.socket.end()
        await pause(5)
        peer.send(answerTo(request))
      }
    })
    await using source = await open(server.unix, { connectionsMax: 3 })
    const targets = Array.from({ length: 12 }, () => new Uint8Array(4096))
    await Promise.all(targets.map((target, block) => source.read({ offsetBytes: block * 4096, target }, cancel)))
    for (const [block, target] of targets.entries()) expect(target).toEqual(new Uint8Array(4096).fill(block))
    return server.connections()
  }

  it('are opened when the server says that they see the same bytes', async () => {
    expect(await clientsFor(1 | 256)).toBe(3)
  })

  it('are not opened otherwise', async () => {
    expect(await clientsFor(1)).toBe(1)
  })
})

describe('block sizes', () => {
  it('are kept: what is asked for is whole blocks, and no longer than the maximum', async () => {
    const requests: FakeRequest[] = []
    const image = Buffer.alloc(size)
    for (let at = 0; at < size; at += 4) image.writeUInt32LE(at, at)
    const server = await fakeNbd(async (peer) => {
      await peer.negotiate({ size, blocks: [4096, 4096, 70_000] })
      for (;;) {
        const request = await peer.request()
        if (request.command === 2) return void peer.socket.end()
        requests.push(request)
        const data = image.subarray(request.offset, request.offset + request.length)
        peer.send(dataChunk(request, request.offset, data, 0), chunk(request, 0))
      }
    })
    await using source = await open(server.unix)
    expect(source.readBytesMax).toBe(69_632)
    for (const [start, length] of [
      [0, 1],
      [4095, 2],
      [size - 1, 1],
      [100, 69_632],
      [4096, 8192],
      [8191, 65_537],
    ] as const) {
      const target = new Uint8Array(length)
      await source.read({ offsetBytes: start, target }, cancel)
      expect(Buffer.from(target).equals(image.subarray(start, start + length))).toBe(true)
    }
    expect(requests.every(({ offset, length }) => offset % 4096 === 0 && length % 4096 === 0)).toBe(true)
    expect(Math.max(...requests.map(({ length }) => length))).toBeLessThanOrEqual(69_632)
  })

  it('that do not divide the export are refused, for its last bytes could not be read', async () => {
    const server = await fakeNbd(async (peer) => {
      await peer.negotiate({ size: size + 512, blocks: [4096, 4096, 65_536] })
      await serveAll(peer)
    })
    await expect(open(server.unix)).rejects.toMatchObject({ code: 'nbd-refused' })
  })
})
