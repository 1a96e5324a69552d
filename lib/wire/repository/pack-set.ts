// The list of every pack that a restore point can reach, with what it still uses of each. Cut into parts of 16,384 packs.

import { assert } from '../../base/errors.ts'
import { parsePackId } from '../../model/ids.ts'
import { corrupt } from './corrupt.ts'
import { bytesOfHexExactly, kidBytes, type PackKind, type PackRef, packIdBytes } from './record-ref.ts'

export type PackUse = {
  readonly pack: PackRef
  /** References of this point to records of the pack, each counted. */
  readonly records: number
  /** Stored bytes behind those references. */
  readonly bytes: number
  /** Days since 1970-01-01 until which the pack is known to be locked; 0: not locked. */
  readonly lockDay: number
}

export const packsPerPart = 16_384

const headBytes = 8
const entryBytes = 32
const metaFlag = 0x8000

/**
 * | offset | size | part of a pack set |
 * | 0 | 4 | n, count of packs |
 * | 4 | 2 | k, count of kids |
 * | 6 | 2 | zero |
 * | 8 | 8 k | kids |
 * | … | 32 each | packId 16, kid index u16 (bit 15: metadata pack), lockDay u16, records u32, bytes u64 |
 *
 * @param uses ascending by packId, at most 16,384
 */
export function encodePackSetPart(uses: readonly PackUse[]): Uint8Array {
  assert(uses.length <= packsPerPart, 'a part of a pack set is bounded')
  const kids = [...new Set(uses.map((use) => use.pack.kid))]
  const bytes = Buffer.alloc(headBytes + kids.length * kidBytes + uses.length * entryBytes)
  bytes.writeUInt32LE(uses.length, 0)
  bytes.writeUInt16LE(kids.length, 4)
  kids.forEach((kid, index) => bytes.set(bytesOfHexExactly(kid, kidBytes), headBytes + index * kidBytes))
  let offset = headBytes + kids.length * kidBytes
  for (const use of uses) {
    const kidIndex = kids.indexOf(use.pack.kid)
    bytes.set(bytesOfHexExactly(use.pack.packId, packIdBytes), offset)
    bytes.writeUInt16LE(use.pack.kind === 'meta' ? kidIndex | metaFlag : kidIndex, offset + 16)
    bytes.writeUInt16LE(use.lockDay, offset + 18)
    bytes.writeUInt32LE(use.records, offset + 20)
    bytes.writeBigUInt64LE(BigInt(use.bytes), offset + 24)
    offset += entryBytes
  }
  return bytes
}

/** @throws BackupError `integrity` unless the bytes are exactly one part, ascending by packId */
export function decodePackSetPart(part: Uint8Array): readonly PackUse[] {
  const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength)
  if (bytes.length < headBytes) throw badPart()
  const count = bytes.readUInt32LE(0)
  const kidCount = bytes.readUInt16LE(4)
  const start = headBytes + kidCount * kidBytes
  if (bytes.length !== start + count * entryBytes || bytes.readUInt16LE(6) !== 0) throw badPart()
  const kids: string[] = []
  for (let i = 0; i < kidCount; i++)
    kids.push(bytes.toString('hex', headBytes + i * kidBytes, headBytes + (i + 1) * kidBytes))
  const uses: PackUse[] = []
  let previous = ''
  for (let offset = start; offset < bytes.length; offset += entryBytes) {
    const flags = bytes.readUInt16LE(offset + 16)
    const kid = kids[flags & ~metaFlag]
    const packId = parsePackId(bytes.toString('hex', offset, offset + packIdBytes))
    if (kid === undefined || packId <= previous) throw badPart()
    previous = packId
    const kind: PackKind = (flags & metaFlag) === 0 ? 'data' : 'meta'
    uses.push({
      pack: { packId, kid, kind },
      records: bytes.readUInt32LE(offset + 20),
      bytes: Number(bytes.readBigUInt64LE(offset + 24)),
      lockDay: bytes.readUInt16LE(offset + 18),
    })
  }
  return uses
}

function badPart(): Error {
  return corrupt('Cannot read a part of a pack set: its length, order or a field does not fit')
}
