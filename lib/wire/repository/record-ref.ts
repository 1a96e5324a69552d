// Where a sealed record lies: in which pack, at which place. Used for chunks, pages and parts of pack sets alike.

import * as z from 'zod'
import { bytesOfHex, hexOf } from '../../base/bytes.ts'
import { malformed } from '../../base/errors.ts'
import { type PackId, parsePackId } from '../../model/ids.ts'

/** What a record holds; the number is stored and bound by the seal. */
export const recordTypes = { chunk: 1, leaf: 2, inner: 3, packSet: 4, trailer: 255 } as const
export type RecordType = (typeof recordTypes)[keyof typeof recordTypes]

/** How a record's plain bytes were encoded before they were sealed. Pages are always raw. */
export const codecs = { raw: 0, zstd: 1 } as const
export type Codec = (typeof codecs)[keyof typeof codecs]

export function isCodec(value: number): value is Codec {
  return value === codecs.raw || value === codecs.zstd
}

/** A data pack (p/) holds chunks; a metadata pack (m/) holds pages and pack sets. */
export type PackKind = 'data' | 'meta'

export type PackRef = {
  readonly packId: PackId
  /** 16 hex digits: which master key the pack is sealed under. */
  readonly kid: string
  readonly kind: PackKind
}

export type RecordRef = {
  /** 32 bytes: HMAC-SHA-256 of the plain bytes under the domain's chunk-id key. */
  readonly id: Uint8Array
  readonly pack: PackRef
  /** Number of the record in its pack, from 0. */
  readonly slot: number
  readonly offsetBytes: number
  /** Encoded and sealed, tag included. */
  readonly storedBytes: number
  readonly codec: Codec
}

export const tagBytes = 16
export const recordIdBytes = 32
export const packIdBytes = 16
export const kidBytes = 8
export const recordsPerPackMax = 65_535

/** Bytes of lower-case hex of a known length; a wrong one is broken input. */
export function bytesOfHexExactly(text: string, lengthBytes: number): Uint8Array {
  const bytes = bytesOfHex(text)
  if (bytes === null || bytes.byteLength !== lengthBytes) throw malformed('hex', text, `must be ${lengthBytes} bytes`)
  return bytes
}

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`))
const u32 = z.int().min(0).max(0xffff_ffff)

/** A reference to a page as JSON; pages are raw and lie in metadata packs, so neither is written. */
export const pageRefJson = z
  .object({
    id: hex(64),
    pack: hex(32),
    kid: hex(16),
    slot: z.int().min(0).max(0xffff),
    offset: u32,
    stored: u32,
  })
  .transform(
    (json): RecordRef => ({
      id: bytesOfHexExactly(json.id, recordIdBytes),
      pack: { packId: parsePackId(json.pack), kid: json.kid, kind: 'meta' },
      slot: json.slot,
      offsetBytes: json.offset,
      storedBytes: json.stored,
      codec: codecs.raw,
    }),
  )

export function pageRefToJson(ref: RecordRef): z.input<typeof pageRefJson> {
  return {
    id: hexOf(ref.id),
    pack: ref.pack.packId,
    kid: ref.pack.kid,
    slot: ref.slot,
    offset: ref.offsetBytes,
    stored: ref.storedBytes,
  }
}
