// A scripted NBD server on a unix socket, for servers that lie. Its bytes are written out here from the protocol
// document, not taken from the client under test.

import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export type FakeRequest = {
  readonly command: number
  readonly handle: Buffer
  readonly offset: number
  readonly length: number
}

export type FakeExport = {
  readonly size: number
  /** Default true. */
  readonly structured?: boolean
  /** The id of base:allocation; absent when it is not offered. */
  readonly context?: number
  /** Transmission flags; default 1 (flags present). */
  readonly flags?: number
  /** Minimum, preferred, maximum. */
  readonly blocks?: readonly [number, number, number]
  /** Sent right behind the last option reply. */
  readonly trailing?: Buffer
}

export interface FakePeer {
  readonly socket: Socket
  take(length: number): Promise<Buffer>
  send(...parts: readonly Buffer[]): void
  /** Plays the negotiation of an ordinary server until the export is open. */
  negotiate(exported: FakeExport): Promise<void>
  /** The next request; the disconnect command (2) too. */
  request(): Promise<FakeRequest>
  /** Answers reads with zeros until the client says goodbye or hangs up. @returns how many it answered */
  serve(): Promise<number>
}

export const u16 = (value: number) => Buffer.from([value >> 8, value & 255])
export const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
export const u64 = (value: number | bigint) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

export const greeting = (flags = 3) => Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), u16(flags)])

export const optionReply = (option: number, type: number, data: Buffer = Buffer.alloc(0)) =>
  Buffer.concat([Buffer.from('0003e889045565a9', 'hex'), u32(option), u32(type), u32(data.length), data])

export const simpleReply = (request: FakeRequest, error = 0, data: Buffer = Buffer.alloc(0)) =>
  Buffer.concat([u32(0x67446698), u32(error), request.handle, data])

/** A structured chunk; `flags` 1 marks the last. */
export const chunk = (request: FakeRequest, type: number, payload: Buffer = Buffer.alloc(0), flags = 1) =>
  Buffer.concat([u32(0x668e33ef), u16(flags), u16(type), request.handle, u32(payload.length), payload])

export const dataChunk = (request: FakeRequest, offset: number, data: Buffer, flags = 1) =>
  chunk(request, 1, Buffer.concat([u64(offset), data]), flags)

export const holeChunk = (request: FakeRequest, offset: number, length: number, flags = 1) =>
  chunk(request, 2, Buffer.concat([u64(offset), u32(length)]), flags)

export const statusChunk = (request: FakeRequest, context: number, runs: readonly (readonly [number, number])[]) =>
  chunk(request, 5, Buffer.concat([u32(context), ...runs.flatMap(([length, flags]) => [u32(length), u32(flags)])]))

export type FakeServer = {
  readonly unix: string
  /** How many clients connected. */
  connections(): number
  /** Throws what a script threw, other than a client that hung up. */
  check(): void
}

/** Runs `script` for every client, until the test is finished. */
export async function fakeNbd(script: (peer: FakePeer, client: number) => Promise<void>): Promise<FakeServer> {
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-nbd-'))
  const unix = join(folder, 'nbd.sock')
  const sockets = new Set<Socket>()
  const failures: unknown[] = []
  let clients = 0
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    script(peerOf(socket), clients++).catch((error: unknown) => {
      if (error instanceof HungUp) return
      failures.push(error)
      socket.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(unix, resolve))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
    await rm(folder, { recursive: true, force: true })
  })
  return {
    unix,
    connections: () => clients,
    check: () => {
      if (failures.length > 0) throw failures[0]
    },
  }
}

class HungUp extends Error {}

function peerOf(socket: Socket): FakePeer {
  let waiting = Buffer.alloc(0)
  let ended = false
  let wake = () => {}
  socket.on('data', (bytes) => {
    waiting = Buffer.concat([waiting, bytes])
    wake()
  })
  socket.on('close', () => {
    ended = true
    wake()
  })
  const peer: FakePeer = {
    socket,
    send: (...parts) => void socket.write(Buffer.concat(parts)),
    take: async (length) => {
      while (waiting.length < length) {
        if (ended) throw new HungUp()
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      const taken = waiting.subarray(0, length)
      waiting = waiting.subarray(length)
      return taken
    },
    negotiate: async (exported) => {
      peer.send(greeting())
      await peer.take(4)
      while (!(await answerOption(peer, exported))) {}
    },
    request: async () => {
      const head = await peer.take(28)
      if (head.readUInt32BE(0) !== 0x25609513) throw new Error('the client sent a wrong request magic')
      return {
        command: head.readUInt16BE(6),
        handle: head.subarray(8, 16),
        offset: Number(head.readBigUInt64BE(16)),
        length: head.readUInt32BE(24),
      }
    },
    serve: async () => {
      for (let answered = 0; ; answered++) {
        const request = await peer.request()
        if (request.command === 2) {
          socket.end()
          return answered
        }
        peer.send(dataChunk(request, request.offset, Buffer.alloc(request.length)))
      }
    },
  }
  return peer
}

/** @returns whether the export is open now */
async function answerOption(peer: FakePeer, exported: FakeExport): Promise<boolean> {
  const head = await peer.take(16)
  if (head.toString('latin1', 0, 8) !== 'IHAVEOPT') throw new Error('the client sent a wrong option magic')
  const option = head.readUInt32BE(8)
  const data = await peer.take(head.readUInt32BE(12))
  const unsupported = 0x8000_0001
  if (option === 8) peer.send(optionReply(8, exported.structured === false ? unsupported : 1))
  else if (option === 10 && exported.context !== undefined) {
    if (!data.includes('base:allocation')) throw new Error('the client asked for another context')
    const chosen = Buffer.concat([u32(exported.context), Buffer.from('base:allocation')])
    peer.send(optionReply(10, 4, chosen), optionReply(10, 1))
  } else if (option === 7) {
    const facts = Buffer.concat([u16(0), u64(exported.size), u16(exported.flags ?? 1)])
    peer.send(optionReply(7, 3, facts))
    if (exported.blocks !== undefined)
      peer.send(optionReply(7, 3, Buffer.concat([u16(3), ...exported.blocks.map(u32)])))
    peer.send(optionReply(7, 1), exported.trailing ?? Buffer.alloc(0))
    return true
  } else peer.send(optionReply(option, unsupported))
  return false
}
