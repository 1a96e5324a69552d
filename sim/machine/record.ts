// The records that a simulated guest writes across its disks, and the proof they give of a restored pair of disks.
// Record n+1 is written only after record n is on disk, so the disks of one cut hold records 1…n without a gap.

import { createHash } from 'node:crypto'
import { bytesEqual, hexOf } from '../../lib/base/bytes.ts'

export const RECORD_BYTES = 4096

const MAGIC = 'CFGUEST1'
const DIGEST_BYTES = 32

/**
 * Bytes, little endian: 0 magic (8), 8 sequence u64, 16 log u32, 20 disk index u32, 24 disk count u32, 28 flags u32
 * (bit 0: written by a freeze), 32 guest id (16), 48 payload, last 32 the SHA-256 of all before.
 */
export type GuestRecord = {
  /** From 1. */
  readonly sequence: number
  /** A guest begins a new log when its set of disks has changed; higher is newer. */
  readonly log: number
  readonly diskIndex: number
  readonly diskCount: number
  readonly frozen: boolean
  /** 32 hex digits. */
  readonly guestId: string
}

export function encodeRecord(record: GuestRecord, options: { readonly payload: Uint8Array }): Uint8Array {
  const bytes = Buffer.alloc(RECORD_BYTES)
  bytes.write(MAGIC, 0, 'latin1')
  bytes.writeBigUInt64LE(BigInt(record.sequence), 8)
  bytes.writeUInt32LE(record.log, 16)
  bytes.writeUInt32LE(record.diskIndex, 20)
  bytes.writeUInt32LE(record.diskCount, 24)
  bytes.writeUInt32LE(record.frozen ? 1 : 0, 28)
  bytes.write(record.guestId, 32, 'hex')
  bytes.set(options.payload.subarray(0, RECORD_BYTES - 48 - DIGEST_BYTES), 48)
  bytes.set(digestOf(bytes), RECORD_BYTES - DIGEST_BYTES)
  return bytes
}

/** Null when these bytes are not a whole, unharmed record. */
export function decodeRecord(bytes: Uint8Array): GuestRecord | null {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.toString('latin1', 0, 8) !== MAGIC) return null
  if (!bytesEqual(view.subarray(RECORD_BYTES - DIGEST_BYTES), digestOf(view))) return null
  return {
    sequence: Number(view.readBigUInt64LE(8)),
    log: view.readUInt32LE(16),
    diskIndex: view.readUInt32LE(20),
    diskCount: view.readUInt32LE(24),
    frozen: view.readUInt32LE(28) === 1,
    guestId: hexOf(view.subarray(32, 48)),
  }
}

/** Where the records of a disk of this size lie: a ring of slots. */
export function recordArea(capacityBytes: number): { readonly offsetBytes: number; readonly slots: number } {
  const quarter = Math.floor(capacityBytes / 4)
  const slots = Math.floor(capacityBytes / 8 / RECORD_BYTES)
  return { offsetBytes: quarter - (quarter % (64 * 1024)), slots: Math.min(1024, Math.max(1, slots)) }
}

/** Where record n of a log lies. */
export function placeOf(
  sequence: number,
  options: { readonly capacities: readonly number[] },
): { readonly diskIndex: number; readonly offsetBytes: number } {
  const diskCount = options.capacities.length
  const diskIndex = (sequence - 1) % diskCount
  const { offsetBytes, slots } = recordArea(options.capacities[diskIndex] ?? 0)
  return { diskIndex, offsetBytes: offsetBytes + (Math.floor((sequence - 1) / diskCount) % slots) * RECORD_BYTES }
}

/** A disk to check, in the order of the guest's disks. */
export type CheckedDisk = {
  readonly capacityBytes: number
  read(range: { readonly offsetBytes: number; readonly lengthBytes: number }): Uint8Array | Promise<Uint8Array>
}

export type CutReport = {
  /** Whether all disks are of one instant: no record is missing below the newest one. */
  readonly oneCut: boolean
  /** The newest record; 0 when there is none. */
  readonly lastSequence: number
  /** Whether the newest record was written by a freeze: the guest was quiet at the cut. */
  readonly frozen: boolean
  /** What speaks against one cut; empty when nothing does. */
  readonly problems: readonly string[]
}

/** Checks that the disks of one guest are of one instant. A guest that never wrote passes with lastSequence 0. */
export async function checkOneCut(disks: readonly CheckedDisk[]): Promise<CutReport> {
  const found: Found[] = []
  for (const [diskIndex, disk] of disks.entries()) {
    const { offsetBytes, slots } = recordArea(disk.capacityBytes)
    const area = await disk.read({ offsetBytes, lengthBytes: slots * RECORD_BYTES })
    for (let slot = 0; slot < slots; slot++) {
      const record = decodeRecord(area.subarray(slot * RECORD_BYTES, (slot + 1) * RECORD_BYTES))
      if (record !== null) found.push({ record, diskIndex, offsetBytes: offsetBytes + slot * RECORD_BYTES })
    }
  }
  return judge(found, { capacities: disks.map((disk) => disk.capacityBytes) })
}

export type Found = { readonly record: GuestRecord; readonly diskIndex: number; readonly offsetBytes: number }

/** The newest record of the newest log; null when there is none. */
export function newestOf(found: readonly Found[]): Found | null {
  let newest: Found | null = null
  for (const one of found) {
    const later = newest === null || one.record.log > newest.record.log
    const sameLog = newest !== null && one.record.log === newest.record.log
    if (later || (sameLog && one.record.sequence > (newest?.record.sequence ?? 0))) newest = one
  }
  return newest
}

function judge(found: readonly Found[], options: { readonly capacities: readonly number[] }): CutReport {
  const newest = newestOf(found)
  if (newest === null) return { oneCut: true, lastSequence: 0, frozen: false, problems: [] }
  const { log, guestId, sequence, diskCount } = newest.record
  const capacities = options.capacities.slice(0, diskCount)
  const problems: string[] = []
  if (capacities.length < diskCount) {
    problems.push(`the guest wrote to ${diskCount} disks, ${capacities.length} are here`)
  }
  const present = new Set<number>()
  for (const one of found) {
    if (one.record.guestId !== guestId) problems.push(`disk ${one.diskIndex} has a record of another guest`)
    else if (one.record.log === log && one.record.diskIndex === one.diskIndex) present.add(one.record.sequence)
  }
  const rounds = Math.min(...capacities.map((capacity) => recordArea(capacity).slots))
  for (let n = Math.max(1, sequence - rounds * diskCount + 1); n <= sequence; n++) {
    if (!present.has(n)) problems.push(`record ${n} is missing while record ${sequence} is present`)
  }
  return { oneCut: problems.length === 0, lastSequence: sequence, frozen: newest.record.frozen, problems }
}

function digestOf(record: Uint8Array): Uint8Array {
  return createHash('sha256')
    .update(record.subarray(0, RECORD_BYTES - DIGEST_BYTES))
    .digest()
}
