// A disk written as a raw image into one S3 object, by multipart upload: a part goes up when nothing more of it is to come, zeros
// need no memory, and nothing is seen before the end (S3 User Guide, "Uploading and copying objects using multipart upload").

import type { IncomingMessage } from 'node:http'
import { type Budget, budget } from '../../base/budget.ts'
import { hexOf, MiB } from '../../base/bytes.ts'
import { assert, BackupError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { anySignal, type Cancel } from '../../base/time-limit.ts'
import { type Extent, endOf, mergeExtents } from '../../model/extent.ts'
import type { DiskTarget } from '../../ports/disk.ts'
import { encodeParts, parseS3Error, parseS3Field } from '../../wire/s3-documents.ts'
import type { S3Client } from './s3-client.ts'
import { BadAnswer, readUpTo } from './s3-connection.ts'
import { lookAtKey, PUT_HEADER } from './s3-put-name.ts'
import { crc32Base64 } from './s3-store.ts'

export type S3ImageOptions = {
  readonly client: S3Client
  /** Of the object, whole. */
  readonly key: string
  readonly capacityBytes: number
  /** Takes the place of an object of this key; else such an object is refused, also one that comes meanwhile. */
  readonly overwrite: boolean
  readonly kmsKey: string | null
  readonly random: Random
  /** Null: as large as 10,000 parts need, 16 MiB at least. */
  readonly partBytes?: number
}

export const IMAGE_PARTS_MAX = 10_000
/** S3's largest object when parts of it must still fit into memory. */
export const IMAGE_BYTES_MAX = 5 * 1024 ** 4
const PART_BYTES_LEAST = 16 * MiB
const PART_BYTES_STEP = 8 * MiB
/** Parts on their way; what completes another waits. */
const UPLOADS_MAX = 3
/** A restore has a handful of ranges under way, so that a handful of parts is begun. */
const OPEN_PARTS_MAX = 16
const ABORT_MS = 15_000
const WORDS_BYTES_MAX = 64 * 1024

/**
 * @throws BackupError `target-too-large`, `target-exists` (kind refused); what the client throws
 */
export async function openS3Image(options: S3ImageOptions, cancel: Cancel): Promise<DiskTarget> {
  const { client, key, capacityBytes, overwrite } = options
  if (capacityBytes > IMAGE_BYTES_MAX) throw tooLarge(options)
  const doing = `Cannot write the image "${key}" to bucket "${client.bucket}"`
  if (!overwrite) {
    // Looked at early for the sake of who waits; the condition of the last request is what counts, whatever is refused here.
    const there = await lookAtKey(client, { key, doing, expects: ({ status }) => status === 403 }, cancel)
    if (there.kind === 'object') throw exists(options)
  }
  const name = hexOf(options.random.bytes(16))
  const bytes = await client.ask(
    { method: 'POST', key, query: { uploads: '' }, headers: headersOf(options, name), body: null },
    { doing, read: (reply) => readUpTo(reply, WORDS_BYTES_MAX) },
    cancel,
  )
  const uploadId = parseS3Field(bytes, 'UploadId')
  assert(uploadId !== null, 'S3 names the upload that it began')
  return new S3Image({ ...options, doing, name, uploadId })
}

/** Bytes of every part but the last. */
export function partBytesOf(capacityBytes: number): number {
  const needed = Math.ceil(capacityBytes / IMAGE_PARTS_MAX)
  return Math.max(PART_BYTES_LEAST, Math.ceil(needed / PART_BYTES_STEP) * PART_BYTES_STEP)
}

function headersOf({ kmsKey }: S3ImageOptions, name: string): Record<string, string> {
  const headers = {
    'content-type': 'application/octet-stream',
    'x-amz-checksum-algorithm': 'CRC32',
    'x-amz-checksum-type': 'COMPOSITE',
    [PUT_HEADER]: name,
  }
  if (kmsKey === null) return headers
  return {
    ...headers,
    'x-amz-server-side-encryption': 'aws:kms',
    'x-amz-server-side-encryption-aws-kms-key-id': kmsKey,
  }
}

/** A part that is begun: bytes that came, and ranges of it of which nothing more comes. */
type OpenPart = { bytes: Buffer | null; settled: readonly Extent[] }
type SentPart = { readonly number: number; readonly etag: string; readonly crc32: string }
type Upload = S3ImageOptions & { readonly doing: string; readonly name: string; readonly uploadId: string }

class S3Image implements DiskTarget {
  readonly capacityBytes: number
  readonly #upload: Upload
  readonly #partBytes: number
  readonly #stop = new AbortController()
  readonly #slots: Budget = budget(UPLOADS_MAX)
  readonly #open = new Map<number, OpenPart>()
  readonly #sent = new Map<number, SentPart | null>()
  readonly #sending = new Set<Promise<void>>()
  #zeros: { readonly bytes: Buffer; readonly crc32: string } | null = null
  #failure: { readonly error: unknown } | null = null
  #state: 'open' | 'committing' | 'done' = 'open'
  #closing: Promise<void> | null = null

  constructor(upload: Upload) {
    this.#upload = upload
    this.capacityBytes = upload.capacityBytes
    this.#partBytes = upload.partBytes ?? partBytesOf(upload.capacityBytes)
  }

  async write({ offsetBytes, bytes }: Parameters<DiskTarget['write']>[0], cancel: Cancel): Promise<void> {
    const range = { offsetBytes, lengthBytes: bytes.byteLength }
    this.#check(range, cancel)
    for (const { index, from, to } of this.#partsOf(range)) {
      const part = this.#partOf(index)
      part.bytes ??= Buffer.alloc(this.#sizeOf(index))
      part.bytes.set(bytes.subarray(from - offsetBytes, to - offsetBytes), from - index * this.#partBytes)
      await this.#settle(index, { offsetBytes: from, lengthBytes: to - from }, cancel)
    }
  }

  async passed(range: Extent, cancel: Cancel): Promise<void> {
    this.#check(range, cancel)
    for (const { index, from, to } of this.#partsOf(range)) {
      if (this.#sent.has(index)) continue
      await this.#settle(index, { offsetBytes: from, lengthBytes: to - from }, cancel)
    }
  }

  async commit(cancel: Cancel): Promise<void> {
    assert(this.#state === 'open' && this.#closing === null, 'a target is committed once')
    cancel.signal.throwIfAborted()
    this.#state = 'committing'
    const count = Math.max(1, Math.ceil(this.capacityBytes / this.#partBytes))
    for (let index = 0; index < count; index++) {
      if (!this.#sent.has(index)) await this.#send(index, this.#open.get(index)?.bytes ?? null, cancel)
    }
    await Promise.all(this.#sending)
    if (this.#failure !== null) throw this.#failure.error
    const parts = Array.from({ length: count }, (_, index) => {
      const part = this.#sent.get(index)
      assert(part !== null && part !== undefined, 'every part was sent')
      return part
    })
    await complete(this.#upload, parts, cancel)
    this.#state = 'done'
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#state === 'done' ? Promise.resolve() : this.#discard()
    return this.#closing
  }

  async #discard(): Promise<void> {
    this.#stop.abort(new DOMException('The image was given up', 'AbortError'))
    await Promise.all(this.#sending)
    this.#open.clear()
    const { client, key, uploadId, doing } = this.#upload
    const request = { method: 'DELETE', key, query: { uploadId }, headers: {}, body: null } as const
    const how = { doing, read: (reply: IncomingMessage) => readUpTo(reply, 0), expects: () => true }
    // Parts that stay are not seen by anybody, and go by the lifecycle rule that ends unfinished uploads.
    await client.call(request, how, { signal: AbortSignal.timeout(ABORT_MS) }).catch(() => undefined)
  }

  #check({ offsetBytes, lengthBytes }: Extent, { signal }: Cancel): void {
    assert(this.#state === 'open' && this.#closing === null, 'a finished target is not written')
    const inside = Number.isSafeInteger(offsetBytes) && offsetBytes >= 0
    assert(inside && offsetBytes + lengthBytes <= this.capacityBytes, 'a range lies inside the disk')
    signal.throwIfAborted()
    if (this.#failure !== null) throw this.#failure.error
  }

  *#partsOf(range: Extent): Generator<{ readonly index: number; readonly from: number; readonly to: number }> {
    for (let from = range.offsetBytes; from < endOf(range); ) {
      const index = Math.floor(from / this.#partBytes)
      const to = Math.min(endOf(range), (index + 1) * this.#partBytes)
      yield { index, from, to }
      from = to
    }
  }

  #sizeOf(index: number): number {
    return Math.min(this.#partBytes, this.capacityBytes - index * this.#partBytes)
  }

  #partOf(index: number): OpenPart {
    assert(!this.#sent.has(index), 'ranges do not overlap, and what was passed is not written')
    const known = this.#open.get(index)
    if (known !== undefined) return known
    if (this.#open.size >= OPEN_PARTS_MAX) throw tooScattered(this.#upload)
    const part: OpenPart = { bytes: null, settled: [] }
    this.#open.set(index, part)
    return part
  }

  async #settle(index: number, range: Extent, cancel: Cancel): Promise<void> {
    const part = this.#partOf(index)
    part.settled = mergeExtents([...part.settled, range])
    const [only] = part.settled
    if (part.settled.length === 1 && only?.lengthBytes === this.#sizeOf(index)) {
      await this.#send(index, part.bytes, cancel)
    }
  }

  /** Resolves when the part is on its way, not when it has arrived. */
  async #send(index: number, bytes: Buffer | null, { signal }: Cancel): Promise<void> {
    this.#open.delete(index)
    this.#sent.set(index, null)
    const slot = await this.#slots.take(1, { signal: anySignal([signal, this.#stop.signal]) })
    const lengthBytes = this.#sizeOf(index)
    const sending: Promise<void> = putPart(this.#upload, this.#bodyOf({ index, bytes, lengthBytes }), this.#stop)
      .then((part) => void this.#sent.set(index, part))
      .catch((error: unknown) => {
        this.#failure ??= { error }
        this.#stop.abort(error)
      })
      .finally(() => {
        this.#sending.delete(sending)
        slot[Symbol.dispose]()
      })
    this.#sending.add(sending)
  }

  /** Parts of zeros share one buffer and its checksum. */
  #bodyOf(part: { readonly index: number; readonly bytes: Buffer | null; readonly lengthBytes: number }): PartBody {
    const number = part.index + 1
    if (part.bytes !== null) return { number, bytes: part.bytes, crc32: crc32Base64(part.bytes) }
    if (this.#zeros?.bytes.byteLength !== part.lengthBytes) {
      const bytes = Buffer.alloc(part.lengthBytes)
      this.#zeros = { bytes, crc32: crc32Base64(bytes) }
    }
    return { number, ...this.#zeros }
  }
}

type PartBody = { readonly number: number; readonly bytes: Buffer; readonly crc32: string }

async function putPart({ client, key, uploadId, doing }: Upload, part: PartBody, cancel: Cancel): Promise<SentPart> {
  const { number, bytes, crc32 } = part
  const query = { partNumber: String(number), uploadId }
  const read = async (reply: IncomingMessage) => {
    await readUpTo(reply, WORDS_BYTES_MAX)
    const { etag } = reply.headers
    if (etag === undefined) throw new BadAnswer('the answer to a part has no ETag')
    return etag
  }
  const request = { method: 'PUT', key, query, headers: { 'x-amz-checksum-crc32': crc32 }, body: bytes } as const
  const etag = await client.ask(request, { doing, read }, cancel)
  return { number, etag, crc32 }
}

/** The only request that makes something seen. It may be answered 200 and fail all the same: then the body is an error. */
async function complete(upload: Upload, parts: readonly SentPart[], cancel: Cancel): Promise<void> {
  const { client, key, uploadId, overwrite, doing, name } = upload
  const headers: Readonly<Record<string, string>> = {
    'content-type': 'application/xml',
    ...(overwrite ? {} : { 'if-none-match': '*' }),
  }
  const read = async (reply: IncomingMessage) => {
    const bytes = await readUpTo(reply, WORDS_BYTES_MAX)
    const fault = parseS3Error(bytes)
    if (fault !== null) throw new BadAnswer(`S3 says "${fault.code}": ${fault.message}`)
  }
  const result = await client.call(
    { method: 'POST', key, query: { uploadId }, headers, body: encodeParts(parts) },
    { doing, read, expects: ({ status, code }) => status === 412 || code === 'NoSuchUpload' },
    cancel,
  )
  if (result.kind === 'done') return
  // The upload is gone, or an object is there: by an earlier try of this request, whose answer was lost, or by another.
  const there = await lookAtKey(client, { key, doing, expects: () => false }, cancel)
  if (there.kind === 'object' && there.name === name) return
  if (result.failure.status === 412) throw exists(upload)
  throw new BackupError(`${doing}: the upload is gone before its end`, {
    code: 'target-write-failed',
    retry: 'later',
    hint: 'Somebody or a lifecycle rule ended it: unfinished uploads need a day or more',
    facts: { bucket: client.bucket, key },
  })
}

function exists({ client, key }: S3ImageOptions): BackupError {
  return new BackupError(`Cannot write the image "${key}" to bucket "${client.bucket}": it exists`, {
    code: 'target-exists',
    kind: 'refused',
    hint: 'Name another place',
    facts: { bucket: client.bucket, key },
  })
}

function tooLarge({ client, key, capacityBytes }: S3ImageOptions): BackupError {
  return new BackupError(`Cannot write an image of ${capacityBytes} bytes as one object`, {
    code: 'target-too-large',
    kind: 'refused',
    hint: `Restore a disk of more than ${IMAGE_BYTES_MAX} bytes to a file`,
    facts: { bucket: client.bucket, key, capacityBytes },
  })
}

function tooScattered({ client, key }: S3ImageOptions): BackupError {
  return new BackupError(`Cannot write the image "${key}": more than ${OPEN_PARTS_MAX} parts are begun and not whole`, {
    code: 'target-write-failed',
    hint: 'A bucket takes a disk nearly in order: restore to a file',
    facts: { bucket: client.bucket, key },
  })
}
