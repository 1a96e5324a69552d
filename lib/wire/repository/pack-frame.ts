// The frame of a pack: header, trailer and footer as bytes. No crypto: MAC and seal are made by the repository.

import { crc32 } from 'node:zlib'
import { parsePackId } from '../../model/ids.ts'
import { corrupt } from './corrupt.ts'
import {
  bytesOfHexExactly,
  type Codec,
  isCodec,
  kidBytes,
  type PackKind,
  type PackRef,
  packIdBytes,
  recordIdBytes,
} from './record-ref.ts'

export const packHeaderBytes = 64
export const packHeaderMacBytes = 16
export const packFooterBytes = 16
export const trailerEntryBytes = 45
export const packVersion = 1
/** No pack is larger. */
export const packBytesMax = 20 * 1024 * 1024

const repositoryIdBytes = 16
const headMagic = Buffer.from('VMBP')
const footMagic = Buffer.from('PBMV')
const kinds = { data: 1, meta: 2 } as const

export type TrailerEntry = {
  readonly id: Uint8Array
  readonly offsetBytes: number
  readonly storedBytes: number
  readonly plainBytes: number
  readonly codec: Codec
  readonly type: number
}

/**
 * | offset | size | pack header |
 * | 0 | 4 | "VMBP" |
 * | 4 | 1 | version, 1 |
 * | 5 | 1 | kind: 1 data, 2 metadata |
 * | 6 | 2 | flags, zero |
 * | 8 | 8 | kid |
 * | 16 | 16 | packId |
 * | 32 | 16 | repositoryId |
 * | 48 | 16 | first 16 bytes of HMAC-SHA-256(K_meta[kid], bytes 0 to 48) |
 *
 * Writes the first 48 bytes; the caller adds the MAC.
 */
export function writePackHeader(
  target: Uint8Array,
  header: { readonly pack: PackRef; readonly repositoryId: string },
): void {
  const bytes = viewOf(target)
  bytes.fill(0, 0, packHeaderBytes)
  bytes.set(headMagic, 0)
  bytes.writeUInt8(packVersion, 4)
  bytes.writeUInt8(kinds[header.pack.kind], 5)
  bytes.set(bytesOfHexExactly(header.pack.kid, kidBytes), 8)
  bytes.set(bytesOfHexExactly(header.pack.packId, packIdBytes), 16)
  bytes.set(bytesOfHexExactly(header.repositoryId, repositoryIdBytes), 32)
}

/** @throws BackupError `integrity` unless magic and kind are known; version and flags are for the caller to judge */
export function readPackHeader(header: Uint8Array): {
  readonly pack: PackRef
  readonly repositoryId: string
  readonly version: number
  /** Zero in version 1: another value is a feature that this reader does not know. */
  readonly flags: number
} {
  const bytes = viewOf(header)
  if (bytes.length < packHeaderBytes || !bytes.subarray(0, 4).equals(headMagic))
    throw corrupt('Cannot read a pack: no "VMBP" at its start')
  const kind: PackKind | null = bytes[5] === kinds.data ? 'data' : bytes[5] === kinds.meta ? 'meta' : null
  if (kind === null) throw corrupt('Cannot read a pack: its kind is unknown')
  return {
    version: bytes.readUInt8(4),
    flags: bytes.readUInt16LE(6),
    repositoryId: bytes.toString('hex', 32, 48),
    pack: { packId: parsePackId(bytes.toString('hex', 16, 32)), kid: bytes.toString('hex', 8, 16), kind },
  }
}

/** One trailer entry: id 32, offset u32, stored length u24, plain length u32, codec u8, type u8. */
export function writeTrailerEntry(
  target: Buffer,
  place: { readonly offset: number; readonly entry: TrailerEntry },
): void {
  const { offset, entry } = place
  target.set(entry.id, offset)
  target.writeUInt32LE(entry.offsetBytes, offset + 32)
  target.writeUIntLE(entry.storedBytes, offset + 36, 3)
  target.writeUInt32LE(entry.plainBytes, offset + 39)
  target.writeUInt8(entry.codec, offset + 43)
  target.writeUInt8(entry.type, offset + 44)
}

/** @throws BackupError `integrity` unless the bytes are whole entries of known codecs */
export function decodeTrailer(trailer: Uint8Array): readonly TrailerEntry[] {
  const bytes = viewOf(trailer)
  if (bytes.length % trailerEntryBytes !== 0)
    throw corrupt('Cannot read a pack trailer: it is not a list of whole entries')
  const entries: TrailerEntry[] = []
  for (let offset = 0; offset < bytes.length; offset += trailerEntryBytes) {
    const codec = bytes.readUInt8(offset + 43)
    if (!isCodec(codec)) throw corrupt(`Cannot read a pack trailer: codec "${codec}" is unknown`)
    entries.push({
      id: bytes.subarray(offset, offset + recordIdBytes),
      offsetBytes: bytes.readUInt32LE(offset + 32),
      storedBytes: bytes.readUIntLE(offset + 36, 3),
      plainBytes: bytes.readUInt32LE(offset + 39),
      codec,
      type: bytes.readUInt8(offset + 44),
    })
  }
  return entries
}

/**
 * | offset from the footer | size | pack footer |
 * | 0 | 4 | stored length of the trailer, tag included |
 * | 4 | 4 | count of records |
 * | 8 | 4 | CRC-32 (zlib) of the header, the stored trailer and footer bytes 0 to 8, in this order |
 * | 12 | 4 | "PBMV" |
 */
export function writePackFooter(
  target: Buffer,
  place: { readonly trailerOffset: number; readonly footerOffset: number; readonly records: number },
): void {
  const { trailerOffset, footerOffset } = place
  target.writeUInt32LE(footerOffset - trailerOffset, footerOffset)
  target.writeUInt32LE(place.records, footerOffset + 4)
  const crc = crc32(target.subarray(trailerOffset, footerOffset + 8), crc32(target.subarray(0, packHeaderBytes)))
  target.writeUInt32LE(crc, footerOffset + 8)
  target.set(footMagic, footerOffset + 12)
}

export type PackFooter = { readonly trailerBytes: number; readonly records: number; readonly crc: number }

/** @throws BackupError `integrity` unless the last 16 bytes of a pack are a footer that fits its size */
export function readPackFooter(footer: Uint8Array, packBytes: number): PackFooter {
  const bytes = viewOf(footer)
  const parsed = { trailerBytes: bytes.readUInt32LE(0), records: bytes.readUInt32LE(4), crc: bytes.readUInt32LE(8) }
  const fits = parsed.trailerBytes <= packBytes - packHeaderBytes - packFooterBytes
  if (!bytes.subarray(12, 16).equals(footMagic) || !fits)
    throw corrupt('Cannot read a pack: its footer is missing or does not fit')
  return parsed
}

/** The CRC-32 that the footer must hold. */
export function packFrameCrc(frame: {
  readonly header: Uint8Array
  readonly trailer: Uint8Array
  readonly footer: Uint8Array
}): number {
  return crc32(frame.footer.subarray(0, 8), crc32(frame.trailer, crc32(frame.header)))
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
