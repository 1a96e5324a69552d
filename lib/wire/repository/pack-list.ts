// The plain list of a candidate's packs (s/<sessionId>/packs-<pointId>): for those who check packs without reading pages.

import { concatBytes } from '../../base/bytes.ts'
import type { PointId } from '../../model/ids.ts'
import { corrupt } from './corrupt.ts'
import { decodePackSetPart, encodePackSetPart, type PackUse, packsPerPart } from './pack-set.ts'
import { bytesOfHexExactly } from './record-ref.ts'

const magic = Buffer.from('VMBL')
const headBytes = 32
const pointIdBytes = 16
export const packListMacBytes = 32

/**
 * | offset | size | pack list |
 * | 0 | 4 | "VMBL" |
 * | 4 | 1 | version, 1 |
 * | 5 | 3 | zero |
 * | 8 | 4 | count of parts |
 * | 12 | 4 | zero |
 * | 16 | 16 | pointId |
 * | 32 | … | each part: its length u32, then the part as in a pack set |
 * | … | 32 | HMAC-SHA-256(K_meta[kid of the candidate], all before) |
 *
 * Gives all but the MAC.
 */
export function encodePackList(pointId: PointId, uses: readonly PackUse[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (let i = 0; i < uses.length; i += packsPerPart) {
    const part = encodePackSetPart(uses.slice(i, i + packsPerPart))
    const length = Buffer.alloc(4)
    length.writeUInt32LE(part.byteLength)
    parts.push(length, part)
  }
  const head = Buffer.alloc(headBytes)
  head.set(magic)
  head.writeUInt8(1, 4)
  head.writeUInt32LE(parts.length / 2, 8)
  head.set(bytesOfHexExactly(pointId, pointIdBytes), 16)
  return concatBytes([head, ...parts])
}

/** @throws BackupError `integrity` unless the bytes (without the MAC) are exactly one list, that of this point */
export function decodePackList(pointId: PointId, list: Uint8Array): readonly PackUse[] {
  const bytes = Buffer.from(list.buffer, list.byteOffset, list.byteLength)
  const head = bytes.subarray(0, headBytes)
  const plain = Buffer.alloc(headBytes)
  plain.set(magic)
  plain.writeUInt8(1, 4)
  plain.set(bytesOfHexExactly(pointId, pointIdBytes), 16)
  if (head.length === headBytes) plain.writeUInt32LE(head.readUInt32LE(8), 8)
  if (!head.equals(plain)) throw corrupt('Cannot read a pack list: its head does not fit, or it is of another point')
  const uses: PackUse[] = []
  let offset = headBytes
  for (let parts = head.readUInt32LE(8); parts > 0; parts--) {
    const length = offset + 4 <= bytes.length ? bytes.readUInt32LE(offset) : Number.POSITIVE_INFINITY
    if (offset + 4 + length > bytes.length) throw corrupt('Cannot read a pack list: it ends early')
    for (const use of decodePackSetPart(bytes.subarray(offset + 4, offset + 4 + length))) uses.push(use)
    offset += 4 + length
  }
  if (offset !== bytes.length) throw corrupt('Cannot read a pack list: something follows its end')
  return uses
}
