// A restore point's object: a frame around a plain, authentic envelope and a sealed body. No crypto.

import * as z from 'zod'
import { parsePointId, parseSessionId, parseVmId } from '../../model/ids.ts'
import type { PointEnvelope } from '../../model/point.ts'
import { corrupt } from './corrupt.ts'
import { pageRefJson, pageRefToJson } from './page-ref.ts'
import type { RecordRef } from './record-ref.ts'
import { formatVersion } from './settings.ts'

/** One disk's block map. */
export type DiskMap = {
  readonly key: number
  readonly capacityBytes: number
  /** log2 of the chunk size, 16 to 22; the same for every point of a chain. */
  readonly chunkLog2: number
  /** The topmost page; null when the whole disk reads as zero. */
  readonly root: RecordRef | null
}

/** What is stored beside the model's envelope: where everything is. */
export type StoredEnvelope = PointEnvelope & {
  readonly repositoryId: string
  readonly disks: readonly DiskMap[]
  /** Parts in ascending order of packId. */
  readonly packSet: readonly RecordRef[]
}

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`))

export const envelopeJson = z.object({
  repositoryId: hex(32),
  pointId: hex(32).transform(parsePointId),
  vmId: z.string().transform(parseVmId),
  sequence: z.int().min(1).max(9_999_999_999),
  parentSequence: z.int().min(1).nullable(),
  sessionId: z.string().transform(parseSessionId),
  capturedAt: z.iso.datetime(),
  sealedAt: z.iso.datetime(),
  retainUntil: z.iso.datetime().nullable(),
  kid: hex(16),
  disks: z.array(
    z.object({
      key: z.int(),
      capacityBytes: z.int().min(0),
      chunkLog2: z.int().min(16).max(22),
      root: pageRefJson.nullable(),
    }),
  ),
  packSet: z.array(pageRefJson).min(1),
}) satisfies z.ZodType<StoredEnvelope>

export function envelopeToJson(envelope: StoredEnvelope): z.input<typeof envelopeJson> {
  return {
    ...envelope,
    disks: envelope.disks.map((disk) => ({ ...disk, root: disk.root === null ? null : pageRefToJson(disk.root) })),
    packSet: envelope.packSet.map(pageRefToJson),
  }
}

export const pointHeadBytes = 16
export const pointMacBytes = 32
const magic = Buffer.from('VMBR')

/**
 * | offset | size | restore point |
 * | 0 | 4 | "VMBR" |
 * | 4 | 2 | version, 1 |
 * | 6 | 2 | zero |
 * | 8 | 4 | e, length of the envelope |
 * | 12 | 4 | b, length of the sealed body, tag included |
 * | 16 | e | envelope, JSON |
 * | 16 + e | 32 | HMAC-SHA-256(K_meta[kid], bytes 0 to 16 + e) |
 * | 48 + e | b | body: zstd of JSON, sealed; additional data: bytes 0 to 48 + e |
 */
export function encodePointHead(envelopeBytes: number, bodyBytes: number): Uint8Array {
  const head = Buffer.alloc(pointHeadBytes)
  head.set(magic, 0)
  head.writeUInt16LE(formatVersion, 4)
  head.writeUInt32LE(envelopeBytes, 8)
  head.writeUInt32LE(bodyBytes, 12)
  return head
}

export type PointFrame = {
  readonly version: number
  readonly envelope: Uint8Array
  readonly mac: Uint8Array
  /** What the MAC covers. */
  readonly macked: Uint8Array
  /** What the seal of the body is bound to. */
  readonly bound: Uint8Array
  readonly body: Uint8Array
}

/** @throws BackupError `integrity` unless the bytes are one whole frame */
export function decodePointFrame(object: Uint8Array): PointFrame {
  const bytes = Buffer.from(object.buffer, object.byteOffset, object.byteLength)
  if (bytes.length < pointHeadBytes || !bytes.subarray(0, 4).equals(magic)) {
    throw corrupt('Cannot read a restore point: no "VMBR" at its start')
  }
  const macStart = pointHeadBytes + bytes.readUInt32LE(8)
  const bodyStart = macStart + pointMacBytes
  if (bodyStart + bytes.readUInt32LE(12) !== bytes.length || bytes.readUInt16LE(6) !== 0) {
    throw corrupt('Cannot read a restore point: its length does not fit')
  }
  return {
    version: bytes.readUInt16LE(4),
    envelope: bytes.subarray(pointHeadBytes, macStart),
    mac: bytes.subarray(macStart, bodyStart),
    macked: bytes.subarray(0, macStart),
    bound: bytes.subarray(0, bodyStart),
    body: bytes.subarray(bodyStart),
  }
}
