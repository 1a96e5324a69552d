// One item of the state table: what its attributes hold, and how a record's text is packed into them. Pure.
//
//   pk              "<kind>#<id>", the key
//   version         counts writes from 1; the condition of every write
//   body | packed   the record as JSON text, or as zstd of it where that is smaller
//   born            token of the write that created the item
//   by0 … by7       tokens of the last writes: the one that made version n is in by(n mod 8)
//   owner           the run of a job, the VM of a point, "run/<id>": index byOwner, by listedAt
//   due, dueAtMs    while something is to be done by a time: index byDue
//   list, listedAt  what is listed by age: index byTime
//   expiresAt       epoch seconds; cleaning only

import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { BackupError, messageOf } from '../../base/errors.ts'

export type Item = Readonly<Record<string, AttributeValue>>

/** What is written beside the record's text; null removes. */
export type SearchedBy = {
  readonly owner: string | null
  readonly due: { readonly shard: string; readonly atMs: number } | null
  /** What has an owner is listed, too. */
  readonly listed: { readonly list: string; readonly at: string } | null
  /** Epoch milliseconds. */
  readonly expiresMs: number | null
}

/** How many writes by others a writer may sleep through and still learn whether its own took place. */
export const TOKENS_KEPT = 8

/** DynamoDB's limit is 409,600 bytes an item, names included; what is not the record's text takes less than the difference. */
export const RECORD_BYTES_MAX = 400_000

/** Writes are charged by the KB: below, packing saves nothing. */
const PACK_BYTES_MIN = 1_024
/** A packed record that would be longer than this is damaged. */
const UNPACKED_BYTES_MAX = 64 * 1024 * 1024

/** Every attribute but the key; null: the item must not have it. */
export type Attributes = Readonly<Record<string, AttributeValue | null>>

/** @throws BackupError `state-record-too-large` */
export function attributesOf(
  text: string,
  by: SearchedBy,
  write: { readonly key: string; readonly version: number; readonly token: string },
): Attributes {
  const { due, listed, owner, expiresMs } = by
  const { version, token } = write
  return {
    version: { N: String(version) },
    [tokenName(version)]: { S: token },
    ...textAttributes(text, write.key),
    owner: owner === null ? null : { S: owner },
    due: due === null ? null : { S: due.shard },
    dueAtMs: due === null ? null : { N: String(due.atMs) },
    list: listed === null ? null : { S: listed.list },
    listedAt: listed === null ? null : { S: listed.at },
    expiresAt: expiresMs === null ? null : { N: String(Math.ceil(expiresMs / 1_000)) },
  }
}

export function tokenName(version: number): string {
  return `by${version % TOKENS_KEPT}`
}

/** @throws BackupError `state-malformed` */
export function textOf(item: Item, key: string): { readonly text: string; readonly version: number } {
  const version = versionOf(item)
  const { body, packed } = item
  if (version === null) throw malformed(key, 'it has no version')
  if (body?.S !== undefined) return { text: body.S, version }
  if (packed?.B === undefined) throw malformed(key, 'it has neither "body" nor "packed"')
  try {
    const bytes = zstdDecompressSync(packed.B, { maxOutputLength: UNPACKED_BYTES_MAX })
    return { text: bytes.toString('utf8'), version }
  } catch (error) {
    throw malformed(key, `"packed" cannot be unpacked: ${messageOf(error)}`)
  }
}

/** Null where there is none. */
export function versionOf(item: Item): number | null {
  const version = Number(item['version']?.N)
  return Number.isSafeInteger(version) && version >= 1 ? version : null
}

function textAttributes(text: string, key: string): Attributes {
  const plainBytes = Buffer.byteLength(text)
  const packed = plainBytes < PACK_BYTES_MIN ? null : zstdCompressSync(text)
  const bytes = packed === null ? plainBytes : Math.min(plainBytes, packed.length)
  if (bytes > RECORD_BYTES_MAX) {
    throw new BackupError(
      `Cannot keep record "${key}": it has ${bytes} bytes when packed, and an item may have ${RECORD_BYTES_MAX}`,
      {
        code: 'state-record-too-large',
        hint: 'Nothing was changed. A run over many VMs is cut by several policies; please report any other record',
        facts: { key, plainBytes, packedBytes: packed?.length ?? null, bytesMax: RECORD_BYTES_MAX },
      },
    )
  }
  if (packed === null || packed.length >= plainBytes) return { body: { S: text }, packed: null }
  return { body: null, packed: { B: packed } }
}

function malformed(key: string, reason: string): BackupError {
  return new BackupError(`Cannot read the state record "${key}": ${reason}`, {
    code: 'state-malformed',
    hint: 'It was written by another version of Coldframe or by another program; restore the table to a time before that',
    facts: { key, reason },
  })
}
