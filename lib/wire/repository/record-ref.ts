// Where a sealed record lies: in which pack, at which place. Used for chunks, pages and parts of pack sets alike.

import { bytesOfHex } from '../../base/bytes.ts'
import { malformed } from '../../base/errors.ts'
import type { PackId } from '../../model/ids.ts'

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
