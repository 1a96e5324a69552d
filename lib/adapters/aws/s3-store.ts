// An object store in an S3 bucket, below a prefix. Where a bucket keeps versions the oldest one of a key counts: neither a mark
// that it was deleted nor a version put on top of it hides what was stored first.

import type { IncomingMessage } from 'node:http'
import { crc32 } from 'node:zlib'
import { hexOf } from '../../base/bytes.ts'
import { type Clock, isoTime } from '../../base/clock.ts'
import { BackupError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { ObjectFacts, ObjectStore } from '../../ports/object-store.ts'
import { checkObjectKey, checkObjectPrefix, objectMissing, objectShort } from '../../wire/repository/object-key.ts'
import type { S3Client } from './s3-client.ts'
import { BadAnswer, readInto, readUpTo } from './s3-connection.ts'
import type { S3Failure } from './s3-failures.ts'
import { isAbsence, lookAtKey, PUT_HEADER } from './s3-put-name.ts'
import { type OldestVersions, oldestVersions } from './s3-versions.ts'

export type S3StoreOptions = {
  readonly client: S3Client
  /** '' or ending in '/'. */
  readonly prefix: string
  /** Object Lock of each object; null: none of ours. */
  readonly lock: S3Lock | null
  /** A KMS key to encrypt with; null: as the bucket does by default. */
  readonly kmsKey: string | null
  readonly clock: Pick<Clock, 'nowMs'>
  readonly random: Random
}

export type S3Lock = {
  readonly mode: 'GOVERNANCE' | 'COMPLIANCE'
  /** From when an object is put. */
  readonly days: number
  /** Beginnings of keys that are not locked: working papers. */
  readonly except: readonly string[]
}

/** What S3 may say beside a success. */
const WORDS_BYTES_MAX = 64 * 1024
/** Larger than any object of a repository. */
const OBJECT_BYTES_MAX = 256 * 1024 * 1024
const DAY_MS = 24 * 3_600_000

type Parts = { readonly client: S3Client; readonly base: string; readonly versions: OldestVersions }

export function s3Store(options: S3StoreOptions): ObjectStore {
  const { client } = options
  const base = options.prefix
  const parts: Parts = { client, base, versions: oldestVersions({ client, base }) }
  return {
    putIfAbsent: async ({ key, bytes }, cancel) => {
      checkObjectKey(key)
      const headers = putHeaders(bytes, { key, ...options })
      return await put(parts, { key, bytes, headers }, cancel)
    },
    get: async (key, cancel) => {
      const headers = { 'x-amz-checksum-mode': 'ENABLED' }
      const found = await read(parts, { key, headers, expects: () => false, take: takeWhole }, cancel)
      return found.kind === 'done' ? found.value : null
    },
    getRange: (range, cancel) => getRange(parts, range, cancel),
    head: (key, cancel) => head(parts, key, cancel),
    list: (prefix, cancel) => parts.versions.list(checkObjectPrefix(prefix), cancel),
  }
}

function putHeaders(
  bytes: Uint8Array,
  { key, lock, kmsKey, clock, random }: Omit<S3StoreOptions, 'client' | 'prefix'> & { readonly key: string },
): Record<string, string> {
  const headers: Record<string, string> = {
    'if-none-match': '*',
    'content-type': 'application/octet-stream',
    'x-amz-checksum-crc32': crc32Base64(bytes),
    [PUT_HEADER]: hexOf(random.bytes(16)),
  }
  if (kmsKey !== null) {
    headers['x-amz-server-side-encryption'] = 'aws:kms'
    headers['x-amz-server-side-encryption-aws-kms-key-id'] = kmsKey
  }
  if (lock !== null && !lock.except.some((start) => key.startsWith(start))) {
    headers['x-amz-object-lock-mode'] = lock.mode
    headers['x-amz-object-lock-retain-until-date'] = isoTime(clock.nowMs() + lock.days * DAY_MS)
  }
  return headers
}

/** Big-endian, as S3 wants it. */
export function crc32Base64(bytes: Uint8Array): string {
  const word = Buffer.alloc(4)
  word.writeUInt32BE(crc32(bytes))
  return word.toString('base64')
}

type Put = { readonly key: string; readonly bytes: Uint8Array; readonly headers: Readonly<Record<string, string>> }

async function put(
  { client, base }: Parts,
  { key, bytes, headers }: Put,
  cancel: Cancel,
): Promise<'stored' | 'exists'> {
  const name = `${base}${key}`
  const doing = `Cannot store object "${key}" in bucket "${client.bucket}"`
  const result = await client.call(
    { method: 'PUT', key: name, query: {}, headers, body: bytes },
    { doing, read: (reply) => readUpTo(reply, WORDS_BYTES_MAX), expects: ({ status }) => status === 412 },
    cancel,
  )
  if (result.kind === 'done') return 'stored'
  if (!result.doubtful) return 'exists'
  // An earlier try may be what is there now: its answer was lost.
  const there = await lookAtKey(client, { key: name, doing, expects: () => false }, cancel)
  return there.kind === 'object' && there.name === headers[PUT_HEADER] ? 'stored' : 'exists'
}

type Reading<Value> = {
  readonly key: string
  readonly headers: Readonly<Record<string, string>>
  readonly take: (reply: IncomingMessage) => Promise<Value>
  readonly expects: (failure: S3Failure) => boolean
}

type Found<Value> =
  | { readonly kind: 'done'; readonly value: Value }
  | { readonly kind: 'none' }
  | { readonly kind: 'failed'; readonly failure: S3Failure }

/** 'none' only where S3 names the key, not the bucket or an anonymous 404, as what is missing. */
async function read<Value>(
  { client, base, versions }: Parts,
  { key, headers, take, expects }: Reading<Value>,
  cancel: Cancel,
): Promise<Found<Value>> {
  checkObjectKey(key)
  for (let last = false; ; last = true) {
    const versionId = versions.of(key)
    const query: Readonly<Record<string, string>> = versionId === null ? {} : { versionId }
    const result = await client.call(
      { method: 'GET', key: `${base}${key}`, query, headers, body: null },
      {
        doing: `Cannot read object "${key}" in bucket "${client.bucket}"`,
        read: take,
        expects: (failure) => isAbsence(failure) || expects(failure),
      },
      cancel,
    )
    if (result.kind === 'done') return result
    const { failure } = result
    if (!isAbsence(failure)) return { kind: 'failed', failure }
    if (last) return { kind: 'none' }
    // The version that was remembered is gone, or one is hidden by the mark of a deletion: what S3 has now counts.
    if (versionId !== null) versions.forget(key)
    else if (!failure.deleted || !(await versions.find(key, cancel))) return { kind: 'none' }
  }
}

async function takeWhole(reply: IncomingMessage): Promise<Uint8Array> {
  const sizeBytes = Number(reply.headers['content-length'])
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes > OBJECT_BYTES_MAX) {
    throw new BackupError(`Cannot read an object of ${reply.headers['content-length'] ?? 'unknown'} bytes whole`, {
      code: 'object-too-large',
      kind: 'integrity',
    })
  }
  const bytes = Buffer.allocUnsafeSlow(sizeBytes)
  await readInto(reply, bytes)
  const checksum = reply.headers['x-amz-checksum-crc32']
  // Of a multipart object it is one of its parts' checksums.
  if (typeof checksum !== 'string' || checksum.includes('-') || checksum === crc32Base64(bytes)) return bytes
  throw new BadAnswer(`the bytes have another CRC-32 than "${checksum}"`)
}

type Range = Parameters<ObjectStore['getRange']>[0]

async function getRange(parts: Parts, range: Range, cancel: Cancel): Promise<void> {
  const { key, offsetBytes, target } = range
  const lengthBytes = target.byteLength
  const short = (sizeBytes: number | null) => objectShort({ key, offsetBytes, lengthBytes, sizeBytes })
  if (lengthBytes === 0) {
    const facts = await head(parts, key, cancel)
    if (facts === null) throw objectMissing(key)
    if (offsetBytes > facts.sizeBytes) throw short(facts.sizeBytes)
    return
  }
  const lastByte = offsetBytes + lengthBytes - 1
  const found = await read(
    parts,
    {
      key,
      headers: { range: `bytes=${offsetBytes}-${lastByte}` },
      expects: ({ status }) => status === 416,
      take: async (reply) => {
        const given = rangeOf(reply)
        if (given.from !== offsetBytes || given.to > lastByte) throw rangeIgnored(key)
        if (given.to < lastByte) throw short(given.sizeBytes)
        await readInto(reply, target)
      },
    },
    cancel,
  )
  if (found.kind === 'none') throw objectMissing(key)
  if (found.kind === 'failed') throw short(found.failure.sizeBytes)
}

/** By a GET of one byte: unlike the answer to HEAD, its refusals say whether key or bucket is missing. */
async function head(parts: Parts, key: string, cancel: Cancel): Promise<ObjectFacts | null> {
  const found = await read(
    parts,
    {
      key,
      headers: { range: 'bytes=0-0' },
      expects: ({ status }) => status === 416,
      take: async (reply) => {
        const { from, sizeBytes } = rangeOf(reply)
        if (from !== 0) throw rangeIgnored(key)
        await readUpTo(reply, 1)
        return factsOf(reply, { key, sizeBytes })
      },
    },
    cancel,
  )
  if (found.kind === 'done') return found.value
  if (found.kind === 'none') return null
  // It is empty, and has no byte 0.
  const take = async (reply: IncomingMessage) => {
    await readUpTo(reply, OBJECT_BYTES_MAX)
    return factsOf(reply, { key, sizeBytes: Number(reply.headers['content-length'] ?? 0) })
  }
  const whole = await read(parts, { key, headers: {}, expects: () => false, take }, cancel)
  return whole.kind === 'done' ? whole.value : null
}

function factsOf(reply: IncomingMessage, { key, sizeBytes }: Omit<ObjectFacts, 'modifiedAt'>): ObjectFacts {
  const modifiedMs = Date.parse(reply.headers['last-modified'] ?? '')
  if (Number.isNaN(modifiedMs)) throw new BadAnswer('the answer does not say when the object was stored')
  return { key, sizeBytes, modifiedAt: isoTime(modifiedMs) }
}

function rangeOf({ statusCode, headers }: IncomingMessage) {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers['content-range'] ?? '')
  if (statusCode !== 206 || match === null) return { from: -1, to: -1, sizeBytes: -1 }
  return { from: Number(match[1]), to: Number(match[2]), sizeBytes: Number(match[3]) }
}

function rangeIgnored(key: string): BackupError {
  return new BackupError(`Cannot read a range of object "${key}": another range was answered`, {
    code: 's3-not-supported',
    hint: 'Check that the endpoint is S3 or speaks as S3 does, and that no proxy changes what is asked for',
    facts: { key },
  })
}
