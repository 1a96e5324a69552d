// The pages of a disk's block map: leaves (128 chunks) and inner pages (512 pages below). Bytes in, values out; no crypto.

import { assert } from '../../base/errors.ts'
import { type PackId, parsePackId } from '../../model/ids.ts'
import { corrupt } from './corrupt.ts'
import {
  bytesOfHexExactly,
  codecs,
  isCodec,
  kidBytes,
  type PackKind,
  type PackRef,
  packIdBytes,
  type RecordRef,
  recordIdBytes,
} from './record-ref.ts'

export const chunksPerLeaf = 128
export const refsPerInner = 512

/** A null entry is a hole: the whole chunk reads as zero. Always 128 entries. */
export type Leaf = { readonly chunkLog2: number; readonly entries: readonly (RecordRef | null)[] }

/** Level 1 refers to leaves, level 2 to inner pages of level 1, and so on. Null: everything below is a hole. Always 512 refs. */
export type InnerPage = { readonly level: number; readonly refs: readonly (RecordRef | null)[] }

const headBytes = 8
const leafBitmapBytes = chunksPerLeaf / 8
const innerBitmapBytes = refsPerInner / 8
const dictEntryBytes = packIdBytes + kidBytes
const leafEntryBytes = 44
const innerEntryBytes = 66

export const leafBytesMax = headBytes + leafBitmapBytes + chunksPerLeaf * (dictEntryBytes + leafEntryBytes)
export const innerBytesMax = headBytes + innerBitmapBytes + refsPerInner * innerEntryBytes

/**
 * | offset | size | leaf |
 * | 0 | 2 | count of entries present |
 * | 2 | 2 | k, count of packs in the dictionary |
 * | 4 | 1 | chunkLog2 |
 * | 5 | 3 | zero |
 * | 8 | 16 | presence bitmap: entry i is bit i % 8 of byte i / 8 |
 * | 24 | 24 k | dictionary: packId 16, kid 8 |
 * | … | 44 each | id 32, dictionary index u16, slot u16, offset u32, stored length u24, codec u8 |
 */
export function encodeLeaf(leaf: Leaf): Uint8Array {
  assert(leaf.entries.length === chunksPerLeaf, 'a leaf has 128 entries')
  const indexOf = new Map<PackId, number>()
  const packs: PackRef[] = []
  let count = 0
  for (const entry of leaf.entries) {
    if (entry === null) continue
    count++
    if (!indexOf.has(entry.pack.packId)) indexOf.set(entry.pack.packId, packs.push(entry.pack) - 1)
  }
  const dictStart = headBytes + leafBitmapBytes
  const bytes = Buffer.alloc(dictStart + packs.length * dictEntryBytes + count * leafEntryBytes)
  bytes.writeUInt16LE(count, 0)
  bytes.writeUInt16LE(packs.length, 2)
  bytes.writeUInt8(leaf.chunkLog2, 4)
  packs.forEach((pack, index) => writePack(bytes, { offset: dictStart + index * dictEntryBytes, pack }))
  let offset = dictStart + packs.length * dictEntryBytes
  leaf.entries.forEach((entry, index) => {
    if (entry === null) return
    setBit(bytes, headBytes, index)
    bytes.set(entry.id, offset)
    bytes.writeUInt16LE(indexOf.get(entry.pack.packId) ?? 0, offset + 32)
    bytes.writeUInt16LE(entry.slot, offset + 34)
    bytes.writeUInt32LE(entry.offsetBytes, offset + 36)
    bytes.writeUIntLE(entry.storedBytes, offset + 40, 3)
    bytes.writeUInt8(entry.codec, offset + 43)
    offset += leafEntryBytes
  })
  return bytes
}

/** @throws BackupError `integrity` unless the bytes are exactly one leaf */
export function decodeLeaf(page: Uint8Array): Leaf {
  const bytes = viewOf(page)
  const dictStart = headBytes + leafBitmapBytes
  if (bytes.length < dictStart) throw badPage('leaf')
  const count = bytes.readUInt16LE(0)
  const packCount = bytes.readUInt16LE(2)
  const entriesStart = dictStart + packCount * dictEntryBytes
  if (bytes.length !== entriesStart + count * leafEntryBytes || bytes.readUIntLE(5, 3) !== 0) throw badPage('leaf')
  const packs: PackRef[] = []
  for (let i = 0; i < packCount; i++)
    packs.push(readPack(bytes, { offset: dictStart + i * dictEntryBytes, kind: 'data' }))
  const entries: (RecordRef | null)[] = []
  let offset = entriesStart
  for (let i = 0; i < chunksPerLeaf; i++) {
    if (!hasBit(bytes, headBytes, i)) {
      entries.push(null)
      continue
    }
    if (offset + leafEntryBytes > bytes.length) throw badPage('leaf')
    const pack = packs[bytes.readUInt16LE(offset + 32)]
    const codec = bytes.readUInt8(offset + 43)
    if (pack === undefined || !isCodec(codec)) throw badPage('leaf')
    entries.push({
      id: bytes.subarray(offset, offset + recordIdBytes),
      pack,
      slot: bytes.readUInt16LE(offset + 34),
      offsetBytes: bytes.readUInt32LE(offset + 36),
      storedBytes: bytes.readUIntLE(offset + 40, 3),
      codec,
    })
    offset += leafEntryBytes
  }
  if (offset !== bytes.length) throw badPage('leaf')
  return { chunkLog2: bytes.readUInt8(4), entries }
}

/**
 * | offset | size | inner page |
 * | 0 | 2 | count of references present |
 * | 2 | 1 | level, 1 or more |
 * | 3 | 5 | zero |
 * | 8 | 64 | presence bitmap |
 * | 72 | 66 each | id 32, packId 16, kid 8, offset u32, stored length u32, slot u16 |
 */
export function encodeInner(page: InnerPage): Uint8Array {
  assert(page.refs.length === refsPerInner, 'an inner page has 512 references')
  const count = page.refs.reduce((sum, ref) => sum + (ref === null ? 0 : 1), 0)
  const bytes = Buffer.alloc(headBytes + innerBitmapBytes + count * innerEntryBytes)
  bytes.writeUInt16LE(count, 0)
  bytes.writeUInt8(page.level, 2)
  let offset = headBytes + innerBitmapBytes
  page.refs.forEach((ref, index) => {
    if (ref === null) return
    setBit(bytes, headBytes, index)
    bytes.set(ref.id, offset)
    writePack(bytes, { offset: offset + 32, pack: ref.pack })
    bytes.writeUInt32LE(ref.offsetBytes, offset + 56)
    bytes.writeUInt32LE(ref.storedBytes, offset + 60)
    bytes.writeUInt16LE(ref.slot, offset + 64)
    offset += innerEntryBytes
  })
  return bytes
}

/** @throws BackupError `integrity` unless the bytes are exactly one inner page */
export function decodeInner(page: Uint8Array): InnerPage {
  const bytes = viewOf(page)
  const start = headBytes + innerBitmapBytes
  if (bytes.length < start) throw badPage('inner page')
  const count = bytes.readUInt16LE(0)
  const level = bytes.readUInt8(2)
  if (bytes.length !== start + count * innerEntryBytes || bytes.readUIntLE(3, 5) !== 0 || level === 0) {
    throw badPage('inner page')
  }
  const refs: (RecordRef | null)[] = []
  let offset = start
  for (let i = 0; i < refsPerInner; i++) {
    if (!hasBit(bytes, headBytes, i)) {
      refs.push(null)
      continue
    }
    if (offset + innerEntryBytes > bytes.length) throw badPage('inner page')
    refs.push({
      id: bytes.subarray(offset, offset + recordIdBytes),
      pack: readPack(bytes, { offset: offset + 32, kind: 'meta' }),
      offsetBytes: bytes.readUInt32LE(offset + 56),
      storedBytes: bytes.readUInt32LE(offset + 60),
      slot: bytes.readUInt16LE(offset + 64),
      codec: codecs.raw,
    })
    offset += innerEntryBytes
  }
  if (offset !== bytes.length) throw badPage('inner page')
  return { level, refs }
}

export function emptyLeaf(chunkLog2: number): Leaf {
  return { chunkLog2, entries: new Array<null>(chunksPerLeaf).fill(null) }
}

function writePack(bytes: Buffer, place: { readonly offset: number; readonly pack: PackRef }): void {
  bytes.set(bytesOfHexExactly(place.pack.packId, packIdBytes), place.offset)
  bytes.set(bytesOfHexExactly(place.pack.kid, kidBytes), place.offset + packIdBytes)
}

function readPack(bytes: Buffer, place: { readonly offset: number; readonly kind: PackKind }): PackRef {
  const { offset, kind } = place
  return {
    packId: parsePackId(bytes.toString('hex', offset, offset + packIdBytes)),
    kid: bytes.toString('hex', offset + packIdBytes, offset + packIdBytes + kidBytes),
    kind,
  }
}

function setBit(bytes: Buffer, start: number, index: number): void {
  const at = start + (index >> 3)
  bytes.writeUInt8(bytes.readUInt8(at) | (1 << (index & 7)), at)
}

function hasBit(bytes: Buffer, start: number, index: number): boolean {
  return (bytes.readUInt8(start + (index >> 3)) & (1 << (index & 7))) !== 0
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function badPage(what: string): Error {
  return corrupt(`Cannot read a ${what} of the block map: its length or a field does not fit`)
}
