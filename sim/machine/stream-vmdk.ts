// A disk as a streamOptimized VMDK, as servers export one: compressed grains behind markers, grain tables after every 512 of them,
// the grain directory and a copy of the header at the end. Virtual Disk Format 5.0, "Stream-Optimized Compressed Sparse Extents".

import { deflateSync } from 'node:zlib'
import { utf8Encode } from '../../lib/base/bytes.ts'
import { GRAIN_BYTES } from './grain-store.ts'
import type { SimContent } from './types.ts'

const SECTOR = 512
const GRAIN_SECTORS = GRAIN_BYTES / SECTOR
const TABLE_ENTRIES = 512
/** Where the first marker stands: header and descriptor come before it. */
const OVERHEAD_SECTORS = 128
const DESCRIPTOR_SECTORS = 20
const GD_AT_END = 0xffff_ffff_ffff_ffffn
const MARKER = { endOfStream: 0, grainTable: 1, grainDirectory: 2, footer: 3 } as const
/** Valid new-line test, compressed grains, markers. */
const FLAGS = 0x30001

export type StreamedDisk = {
  readonly fileName: string
  readonly contentId: string
  /** A whole number of sectors. */
  readonly capacityBytes: number
  readonly content: SimContent
  /** A lie: the nth grain, from 1, says that it is the one after. Null: none. */
  readonly misplacedGrain: number | null
}

/** The whole file, a few sectors to a few grains at a time. */
export function* streamVmdk(disk: StreamedDisk): Generator<Uint8Array, void> {
  let sector = 0
  const count = (bytes: Uint8Array): Uint8Array => {
    sector += bytes.byteLength / SECTOR
    return bytes
  }
  yield count(headOf(disk))
  const grains = Math.ceil(disk.capacityBytes / GRAIN_BYTES)
  const directory = new Uint32Array(Math.ceil(grains / TABLE_ENTRIES))
  let written = 0
  for (const table of directory.keys()) {
    const entries = new Uint32Array(TABLE_ENTRIES)
    const first = table * TABLE_ENTRIES
    for (let grain = first; grain < Math.min(grains, first + TABLE_ENTRIES); grain++) {
      const plain = plainGrain(disk, grain)
      if (plain === null) continue
      entries[grain - first] = sector
      const said = ++written === disk.misplacedGrain ? grain + 1 : grain
      yield count(grainOf(said, plain))
    }
    if (entries.every((entry) => entry === 0)) continue
    yield count(marker(MARKER.grainTable, (TABLE_ENTRIES * 4) / SECTOR))
    directory[table] = sector
    yield count(padded(littleEndian(entries)))
  }
  const body = padded(littleEndian(directory))
  yield count(marker(MARKER.grainDirectory, body.byteLength / SECTOR))
  const directorySector = sector
  yield count(body)
  yield marker(MARKER.footer, 1)
  yield header(disk, BigInt(directorySector))
  yield marker(MARKER.endOfStream, 0)
}

/** Null where nothing was ever written, or only zeros. The last grain of a disk is filled up with zeros. */
function plainGrain({ capacityBytes, content }: StreamedDisk, grain: number): Uint8Array | null {
  if (!content.allocated(grain)) return null
  const plain = new Uint8Array(GRAIN_BYTES)
  const offsetBytes = grain * GRAIN_BYTES
  content.read({ offsetBytes, target: plain.subarray(0, Math.min(GRAIN_BYTES, capacityBytes - offsetBytes)) })
  return plain.every((byte) => byte === 0) ? null : plain
}

function grainOf(grain: number, plain: Uint8Array): Uint8Array {
  const packed = deflateSync(plain)
  const bytes = new Uint8Array(12 + packed.byteLength)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(grain * GRAIN_SECTORS), true)
  view.setUint32(8, packed.byteLength, true)
  bytes.set(packed, 12)
  return padded(bytes)
}

function marker(type: number, sectors: number): Uint8Array {
  const bytes = new Uint8Array(SECTOR)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(sectors), true)
  view.setUint32(12, type, true)
  return bytes
}

function headOf(disk: StreamedDisk): Uint8Array {
  const bytes = new Uint8Array(OVERHEAD_SECTORS * SECTOR)
  bytes.set(header(disk, GD_AT_END))
  bytes.set(utf8Encode(descriptorOf(disk)), SECTOR)
  return bytes
}

function header({ capacityBytes }: StreamedDisk, directorySector: bigint): Uint8Array {
  const bytes = new Uint8Array(SECTOR)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 0x564d444b, true)
  view.setUint32(4, 3, true)
  view.setUint32(8, FLAGS, true)
  view.setBigUint64(12, BigInt(capacityBytes / SECTOR), true)
  view.setBigUint64(20, BigInt(GRAIN_SECTORS), true)
  view.setBigUint64(28, 1n, true)
  view.setBigUint64(36, BigInt(DESCRIPTOR_SECTORS), true)
  view.setUint32(44, TABLE_ENTRIES, true)
  view.setBigUint64(56, directorySector, true)
  view.setBigUint64(64, BigInt(OVERHEAD_SECTORS), true)
  bytes.set(utf8Encode('\n \r\n'), 73)
  // RFC 1951 in an RFC 1950 wrapper.
  view.setUint16(77, 1, true)
  return bytes
}

function descriptorOf({ fileName, contentId, capacityBytes }: StreamedDisk): string {
  const sectors = capacityBytes / SECTOR
  return [
    '# Disk DescriptorFile',
    'version=1',
    `CID=${contentId}`,
    'parentCID=ffffffff',
    'createType="streamOptimized"',
    '',
    '# Extent description',
    `RDONLY ${sectors} SPARSE "${fileName}"`,
    '',
    '# The Disk Data Base',
    '#DDB',
    'ddb.adapterType = "lsilogic"',
    `ddb.geometry.cylinders = "${Math.max(1, Math.floor(sectors / (255 * 63)))}"`,
    'ddb.geometry.heads = "255"',
    'ddb.geometry.sectors = "63"',
    'ddb.virtualHWVersion = "4"',
    '',
  ].join('\n')
}

function littleEndian(numbers: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(numbers.byteLength)
  const view = new DataView(bytes.buffer)
  for (const [index, number] of numbers.entries()) view.setUint32(index * 4, number, true)
  return bytes
}

/** Filled up to whole sectors. */
function padded(bytes: Uint8Array): Uint8Array {
  const over = bytes.byteLength % SECTOR
  if (over === 0) return bytes
  const whole = new Uint8Array(bytes.byteLength + SECTOR - over)
  whole.set(bytes)
  return whole
}
