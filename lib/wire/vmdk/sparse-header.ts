// The header of a stream-optimized VMDK, its first sector and again its footer; little-endian, sectors of 512 bytes.
//
//   bytes  what                        needed here
//   0      magic "KDMV"
//   4      version                     3
//   8      flags                       compressed grains (bit 16) and markers (bit 17); no other of the bits 16 to 31, which
//                                      tell old readers to keep off
//   12     capacity, sectors           1 to 128 TiB
//   20     sectors a grain             a power of two, 8 to 2048
//   28     descriptor's first sector   0: there is none
//   36     descriptor's sectors
//   44     entries a grain table       a power of two, 128 to 4096
//   48     redundant directory
//   56     grain directory, sector     all ones: at the end, and the footer says where
//   64     sectors before the grains
//   73     "\n \r\n" where bit 0 of the flags is set: a copy as text would have changed them
//   77     compression                 1, RFC 1950
//
// Source: VMware, Virtual Disk Format 5.0, "Hosted Sparse Extents" and "Stream-Optimized Compressed".

import { malformedStream, unsupportedStream } from './faults.ts'

export const SECTOR_BYTES = 512

export type SparseHeader = {
  readonly capacitySectors: number
  readonly grainSectors: number
  readonly entriesPerTable: number
  readonly descriptorSector: number
  readonly descriptorSectors: number
  /** Null: at the end. */
  readonly directorySector: number | null
  readonly overheadSectors: number
}

const MAGIC = 0x564d444b
const AT_END = 0xffff_ffff_ffff_ffffn
const COMPRESSED = 1 << 16
const MARKERS = 1 << 17
const CAPACITY_SECTORS_MAX = 2 ** 38
const OVERHEAD_SECTORS_MAX = 2 ** 34
const DESCRIPTOR_SECTORS_MAX = 2048

/** @param offsetBytes where in the stream these 512 bytes are; for errors */
export function decodeSparseHeader(bytes: Uint8Array, offsetBytes: number): SparseHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SECTOR_BYTES)
  const bad = (reason: string) => malformedStream(reason, offsetBytes)
  const no = (reason: string) => unsupportedStream(reason, offsetBytes)
  if (view.getUint32(0, true) !== MAGIC) throw bad('there is no VMDK header')
  const version = view.getUint32(4, true)
  if (version !== 3) throw no(`its version is ${version}, and only 3 is known`)
  const flags = view.getUint32(8, true)
  if ((flags & COMPRESSED) === 0 || (flags & MARKERS) === 0) throw no('it is not stream-optimized')
  const unknown = flags & 0xffff_0000 & ~(COMPRESSED | MARKERS)
  if (unknown !== 0) throw no(`its flags 0x${flags.toString(16)} ask for what is not known here`)
  const compression = view.getUint16(77, true)
  if (compression !== 1) throw no(`its compression is ${compression}, and only 1 (deflate) is known`)
  if ((flags & 1) !== 0 && view.getUint32(73, true) !== 0x0a0d_200a) throw bad('it was copied as text')

  const sectorsAt = (at: number, name: string, most: number): number => {
    const value = view.getBigUint64(at, true)
    if (value > BigInt(most)) throw bad(`its ${name} is ${value}, more than ${most}`)
    return Number(value)
  }
  const powerAt = (value: number, name: string, limits: { readonly low: number; readonly high: number }): number => {
    const { low, high } = limits
    if (value < low || value > high || !Number.isInteger(Math.log2(value)))
      throw no(`its ${name} is ${value}, and must be a power of two from ${low} to ${high}`)
    return value
  }
  const capacitySectors = sectorsAt(12, 'capacity', CAPACITY_SECTORS_MAX)
  if (capacitySectors === 0) throw bad('its capacity is 0')
  const directory = view.getBigUint64(56, true)
  return {
    capacitySectors,
    grainSectors: powerAt(sectorsAt(20, 'grain', 2 ** 31), 'grain', { low: 8, high: 2048 }),
    entriesPerTable: powerAt(view.getUint32(44, true), 'grain table', { low: 128, high: 4096 }),
    descriptorSector: sectorsAt(28, 'descriptor', OVERHEAD_SECTORS_MAX),
    descriptorSectors: sectorsAt(36, 'descriptor', DESCRIPTOR_SECTORS_MAX),
    directorySector: directory === AT_END ? null : sectorsAt(56, 'grain directory', OVERHEAD_SECTORS_MAX),
    overheadSectors: sectorsAt(64, 'overhead', OVERHEAD_SECTORS_MAX),
  }
}
