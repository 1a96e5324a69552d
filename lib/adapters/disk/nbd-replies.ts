// The receive path of the transmission phase: fragments of a byte stream in, bytes of the disk straight into the
// callers' buffers out. Synchronous on purpose: an await per fragment costs half the speed. No sockets here.
//
// Source: "The NBD protocol", sections "Simple reply message", "Structured reply chunk message" and "Structured
// reply types". Whatever the protocol does not allow throws `nbd-protocol`, and the stream is then unreadable.

import { assert, type BackupError, unreachable } from '../../base/errors.ts'
import type { Extent } from '../../model/extent.ts'
import type { Allocation } from '../../ports/disk.ts'
import type { Coverage } from './nbd-coverage.ts'
import {
  CHUNK,
  CHUNK_DONE_BIT,
  CHUNK_ERROR,
  CHUNK_ERROR_BIT,
  CHUNK_ERROR_OFFSET,
  protocolError,
  readSafe64,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STATE_ZERO,
  STRING_BYTES_MAX,
  STRUCTURED_REPLY_BYTES,
  STRUCTURED_REPLY_MAGIC,
} from './nbd-protocol.ts'

/** What the server said of a request it could not serve. */
export type ServerRefusal = { readonly errno: number; readonly message: string; readonly offsetBytes: number | null }

export type PendingRead = {
  readonly kind: 'read'
  readonly offsetBytes: number
  readonly lengthBytes: number
  /** Where the bytes go, lengthBytes long; null once nobody wants them: they are then thrown away. */
  target: Uint8Array | null
  readonly covered: Coverage
  refusal: ServerRefusal | null
}

export type PendingStatus = {
  readonly kind: 'block-status'
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly contextId: number
  /** What the server described so far: from offsetBytes on, contiguous, clipped to the asked range. */
  runs: readonly Allocation[] | null
  refusal: ServerRefusal | null
}

export type Pending = PendingRead | PendingStatus

export type ReplyReaderOptions<Request extends Pending> = {
  /** Whether structured replies were negotiated. */
  readonly structured: boolean
  /** The request of this handle that is not answered yet. */
  readonly find: (handle: number) => Request | undefined
  /** Called once a request: its `refusal` says whether it was served. */
  readonly settle: (handle: number, request: Request) => void
}

/** More than any server describes in one reply (nbdkit: 8 MiB); bounds what a lie can make us collect. */
const STATUS_PAYLOAD_BYTES_MAX = 16 * 1024 * 1024
const ERROR_PAYLOAD_BYTES_MAX = 64 * 1024

type Step = 'head' | 'structured-head' | 'data-offset' | 'payload'
type Window = { readonly at: number; readonly end: number }

/** Reads one connection's replies, from its first to its last. */
export class ReplyReader<Request extends Pending> {
  readonly #options: ReplyReaderOptions<Request>
  readonly #small = Buffer.alloc(64)
  #step: Step = 'head'
  #wantedBytes = SIMPLE_REPLY_BYTES
  #collected = this.#small
  #collectedBytes = 0

  #handle = 0
  #request: Request | undefined
  #done = false
  #chunkType = 0
  #chunkBytes = 0
  #dataAt = 0
  #dataLeftBytes = 0

  constructor(options: ReplyReaderOptions<Request>) {
    this.#options = options
  }

  /**
   * Takes the first `lengthBytes` of `bytes`, which may be overwritten after the call.
   * @throws BackupError `nbd-protocol`; then it may not be called again
   */
  push(bytes: Buffer, lengthBytes: number): void {
    let at = 0
    while (at < lengthBytes) {
      const window = { at, end: lengthBytes }
      at += this.#dataLeftBytes > 0 ? this.#takeData(bytes, window) : this.#takeFields(bytes, window)
    }
  }

  /** Whether the stream stands between two replies, so that an end of it cuts nothing. */
  idle(): boolean {
    return this.#step === 'head' && this.#collectedBytes === 0 && this.#dataLeftBytes === 0
  }

  #takeData(bytes: Buffer, { at, end }: Window): number {
    const lengthBytes = Math.min(this.#dataLeftBytes, end - at)
    const request = this.#request
    if (request?.kind === 'read' && request.target !== null) {
      bytes.copy(request.target, this.#dataAt, at, at + lengthBytes)
    }
    this.#dataAt += lengthBytes
    this.#dataLeftBytes -= lengthBytes
    if (this.#dataLeftBytes === 0) this.#endChunk()
    return lengthBytes
  }

  #takeFields(bytes: Buffer, { at, end }: Window): number {
    const availableBytes = end - at
    if (this.#collectedBytes === 0 && availableBytes >= this.#wantedBytes) {
      const takenBytes = this.#wantedBytes
      this.#onFields(bytes, at)
      return takenBytes
    }
    const takenBytes = Math.min(this.#wantedBytes - this.#collectedBytes, availableBytes)
    bytes.copy(this.#collected, this.#collectedBytes, at, at + takenBytes)
    this.#collectedBytes += takenBytes
    if (this.#collectedBytes === this.#wantedBytes) {
      this.#collectedBytes = 0
      this.#onFields(this.#collected, 0)
    }
    return takenBytes
  }

  #onFields(bytes: Buffer, at: number): void {
    switch (this.#step) {
      case 'head':
        return this.#onHead(bytes, at)
      case 'structured-head':
        return this.#onStructuredHead(bytes, at)
      case 'data-offset':
        return this.#startData({ offsetBytes: readSafe64(bytes, at), lengthBytes: this.#chunkBytes - 8 })
      case 'payload':
        return this.#onPayload(bytes.subarray(at, at + this.#chunkBytes))
      default:
        return unreachable(this.#step)
    }
  }

  /** Magic number, 32 bits (simple: error; structured: flags and type), 64-bit handle. */
  #onHead(bytes: Buffer, at: number): void {
    const magic = bytes.readUInt32BE(at)
    const structured = magic === STRUCTURED_REPLY_MAGIC && this.#options.structured
    if (!structured && magic !== SIMPLE_REPLY_MAGIC) {
      throw protocolError(`a reply starts with the magic number 0x${magic.toString(16).padStart(8, '0')}`)
    }
    this.#handle = readSafe64(bytes, at + 8)
    const request = this.#options.find(this.#handle)
    if (request === undefined) {
      const digits = bytes.toString('hex', at + 8, at + 16)
      throw protocolError(`a reply names the request 0x${digits}, which is not waiting for one`)
    }
    this.#request = request
    if (!structured) return this.#onSimpleReply(request, bytes.readUInt32BE(at + 4))
    this.#done = (bytes.readUInt16BE(at + 4) & CHUNK_DONE_BIT) !== 0
    this.#chunkType = bytes.readUInt16BE(at + 6)
    this.#expect('structured-head', STRUCTURED_REPLY_BYTES - SIMPLE_REPLY_BYTES)
  }

  #onSimpleReply(request: Request, errno: number): void {
    this.#done = true
    if (errno !== 0) {
      request.refusal = { errno, message: '', offsetBytes: null }
      this.#endChunk()
      return
    }
    if (this.#options.structured) throw protocolError('a simple reply stands where only a structured one may')
    this.#startData(request)
  }

  #onStructuredHead(bytes: Buffer, at: number): void {
    this.#chunkBytes = bytes.readUInt32BE(at)
    const facts = { chunkType: this.#chunkType, chunkBytes: this.#chunkBytes }
    if (this.#chunkType === CHUNK.none) {
      if (this.#chunkBytes !== 0 || !this.#done)
        throw protocolError('an empty chunk is not the last, or not empty', facts)
      this.#endChunk()
    } else if (this.#chunkType === CHUNK.offsetData) {
      if (this.#chunkBytes < 9) throw protocolError('a data chunk has no data', facts)
      this.#expect('data-offset', 8)
    } else {
      checkPayloadLength(facts)
      this.#expect('payload', this.#chunkBytes)
    }
  }

  #startData(range: Extent): void {
    this.#dataAt = claim(this.#answered(), range)
    this.#dataLeftBytes = range.lengthBytes
  }

  #onPayload(payload: Buffer): void {
    const request = this.#answered()
    if (this.#chunkType === CHUNK.offsetHole) {
      const hole = { offsetBytes: readSafe64(payload, 0), lengthBytes: payload.readUInt32BE(8) }
      const start = claim(request, hole)
      if (request.kind === 'read') request.target?.fill(0, start, start + hole.lengthBytes)
    } else if (this.#chunkType === CHUNK.blockStatus) {
      takeStatus(request, payload)
    } else {
      const refusal = parseRefusal(payload, { type: this.#chunkType, request })
      request.refusal ??= refusal
    }
    this.#endChunk()
  }

  #endChunk(): void {
    const request = this.#answered()
    this.#request = undefined
    this.#expect('head', SIMPLE_REPLY_BYTES)
    if (!this.#done) return
    checkComplete(request)
    this.#options.settle(this.#handle, request)
  }

  #answered(): Request {
    assert(this.#request !== undefined, 'a chunk belongs to a request')
    return this.#request
  }

  #expect(step: Step, wantedBytes: number): void {
    this.#step = step
    this.#wantedBytes = wantedBytes
    this.#collected = wantedBytes <= this.#small.byteLength ? this.#small : Buffer.allocUnsafe(wantedBytes)
  }
}

/** @returns where the range starts in the request's target */
function claim(request: Pending, range: Extent): number {
  if (request.kind !== 'read') throw protocolError('it sent data for a request that asked for none')
  const start = range.offsetBytes - request.offsetBytes
  const end = start + range.lengthBytes
  const facts = {
    offsetBytes: range.offsetBytes,
    lengthBytes: range.lengthBytes,
    askedOffsetBytes: request.offsetBytes,
    askedLengthBytes: request.lengthBytes,
  }
  if (!(start >= 0 && end <= request.lengthBytes && end > start)) {
    throw protocolError('it sent bytes outside the range that was asked for', facts)
  }
  if (!request.covered.add(start, end)) throw protocolError('it sent the same bytes twice', facts)
  return start
}

function checkComplete(request: Pending): void {
  if (request.refusal !== null) return
  const facts = { offsetBytes: request.offsetBytes, lengthBytes: request.lengthBytes }
  if (request.kind === 'read' && !request.covered.complete(request.lengthBytes)) {
    throw protocolError('it ended a reply without sending all bytes that were asked for', facts)
  }
  if (request.kind === 'block-status' && request.runs === null) {
    throw protocolError('it ended a reply without describing any block', facts)
  }
}

function checkPayloadLength(chunk: { readonly chunkType: number; readonly chunkBytes: number }): void {
  const { chunkType: type, chunkBytes: lengthBytes } = chunk
  const bad = (what: string): BackupError => protocolError(what, chunk)
  if (type === CHUNK.offsetHole) {
    if (lengthBytes !== 12) throw bad('a hole chunk is not 12 bytes long')
  } else if (type === CHUNK.blockStatus) {
    const fits = lengthBytes >= 12 && lengthBytes % 8 === 4 && lengthBytes <= STATUS_PAYLOAD_BYTES_MAX
    if (!fits) throw bad('a block status chunk has an impossible length')
  } else if ((type & CHUNK_ERROR_BIT) === 0) {
    throw bad(`it sent a chunk of the unknown type ${type}`)
  } else if (lengthBytes < 6 || lengthBytes > ERROR_PAYLOAD_BYTES_MAX) {
    throw bad('an error chunk has an impossible length')
  }
}

/** Payload: 32-bit context id, then pairs of 32-bit length and 32-bit flags. The last may reach beyond the range. */
function takeStatus(request: Pending, payload: Buffer): void {
  if (request.kind !== 'block-status') throw protocolError('it described blocks for a request that asked for none')
  const contextId = payload.readUInt32BE(0)
  if (contextId !== request.contextId)
    throw protocolError('it described blocks in a context nobody chose', { contextId })
  if (request.runs !== null) throw protocolError('it described the same blocks twice')
  const runs: Allocation[] = []
  const end = request.offsetBytes + request.lengthBytes
  let offsetBytes = request.offsetBytes
  for (let at = 4; at < payload.byteLength && offsetBytes < end; at += 8) {
    const lengthBytes = payload.readUInt32BE(at)
    if (lengthBytes === 0) throw protocolError('it described a run of no bytes')
    const kind = (payload.readUInt32BE(at + 4) & STATE_ZERO) !== 0 ? 'zero' : 'data'
    runs.push({ offsetBytes, lengthBytes: Math.min(lengthBytes, end - offsetBytes), kind })
    offsetBytes += lengthBytes
  }
  request.runs = runs
}

/** Payload: 32-bit error, 16-bit length of the message, the message, and for ERROR_OFFSET a 64-bit offset. */
function parseRefusal(
  payload: Buffer,
  { type, request }: { readonly type: number; readonly request: Pending },
): ServerRefusal {
  const errno = payload.readUInt32BE(0)
  const messageBytes = payload.readUInt16BE(4)
  const messageEnd = 6 + messageBytes
  const known = type === CHUNK_ERROR || type === CHUNK_ERROR_OFFSET
  const wantedBytes = messageEnd + (type === CHUNK_ERROR_OFFSET ? 8 : 0)
  if (known && (messageBytes > STRING_BYTES_MAX || wantedBytes !== payload.byteLength)) {
    throw protocolError('an error chunk has an impossible length', { messageBytes, chunkBytes: payload.byteLength })
  }
  if (known && errno === 0) throw protocolError('an error chunk names no error')
  const message = known ? payload.toString('utf8', 6, messageEnd) : `error chunk of type ${type}`
  if (type !== CHUNK_ERROR_OFFSET) return { errno, message, offsetBytes: null }
  const offsetBytes = readSafe64(payload, messageEnd)
  if (!(offsetBytes >= request.offsetBytes && offsetBytes < request.offsetBytes + request.lengthBytes)) {
    throw protocolError('an error chunk points outside the range that was asked for', { offsetBytes })
  }
  return { errno, message, offsetBytes }
}
