// Makes stream-optimized VMDKs, right ones and, by what is given, wrong ones: the other half of lib/wire/vmdk.

import { deflateSync } from 'node:zlib'
import { concatBytes, isAllZero } from '../../lib/base/bytes.ts'

export type EncodeOptions = {
  readonly grainSectors?: number
  readonly entriesPerTable?: number
  /** Grain numbers in the order in which they are written; default: those that are not zero, ascending. */
  readonly order?: readonly number[]
  /** The compressed bytes of a grain, instead of its own. */
  readonly pack?: (bytes: Uint8Array, grain: number) => Uint8Array
  readonly parentCid?: string
}

export type Segment = {
  readonly kind: 'header' | 'grain' | 'table' | 'directory' | 'footer' | 'end'
  readonly bytes: Uint8Array
}

const SECTOR = 512
const OVERHEAD_SECTORS = 128

export function encodeVmdkStream(image: Uint8Array, options: EncodeOptions = {}): Uint8Array {
  return concatBytes(vmdkSegments(image, options).map(({ bytes }) => bytes))
}

/** The pieces of a stream; each grain table follows the last grain of its run. */
export function vmdkSegments(image: Uint8Array, options: EncodeOptions = {}): readonly Segment[] {
  const { grainSectors = 128, entriesPerTable = 512 } = options
  const grainBytes = grainSectors * SECTOR
  const capacitySectors = image.byteLength / SECTOR
  const grains = Math.ceil(image.byteLength / grainBytes)
  const grainOf = (grain: number) => image.subarray(grain * grainBytes, (grain + 1) * grainBytes)
  const written = Array.from({ length: grains }, (_, grain) => grain).filter((grain) => !isAllZero(grainOf(grain)))
  const order = options.order ?? written
  const shape = { capacitySectors, grainSectors, entriesPerTable }
  const segments: Segment[] = []
  let sector = 0
  const put = (kind: Segment['kind'], bytes: Uint8Array) => {
    const padded = new Uint8Array(Math.ceil(bytes.byteLength / SECTOR) * SECTOR)
    padded.set(bytes)
    segments.push({ kind, bytes: padded })
    sector += padded.byteLength / SECTOR
  }
  put('header', headerBytes(shape, { directorySector: null, parentCid: options.parentCid ?? 'ffffffff' }))

  const tables = Math.ceil(grains / entriesPerTable)
  const directory = new DataView(new ArrayBuffer(tables * 4))
  const entries = new Map<number, DataView>()
  const entriesOf = (table: number): DataView => {
    const known = entries.get(table) ?? new DataView(new ArrayBuffer(entriesPerTable * 4))
    entries.set(table, known)
    return known
  }
  for (const [index, grain] of order.entries()) {
    const table = Math.floor(grain / entriesPerTable)
    const pack = options.pack ?? ((bytes: Uint8Array) => deflateSync(bytes, { level: 1 }))
    const entry = sector
    put('grain', grainBytesOf(grain * grainSectors, pack(grainOf(grain), grain)))
    entriesOf(table).setUint32((grain % entriesPerTable) * 4, entry, true)
    const next = order[index + 1]
    if (next === undefined || Math.floor(next / entriesPerTable) !== table) {
      directory.setUint32(table * 4, sector + 1, true)
      put('table', metadataBytes(1, new Uint8Array(entriesOf(table).buffer)))
    }
  }
  const directorySector = sector + 1
  put('directory', metadataBytes(2, new Uint8Array(directory.buffer)))
  const footer = headerBytes(shape, { directorySector, parentCid: 'ffffffff' }).subarray(0, SECTOR)
  put('footer', metadataBytes(3, footer))
  put('end', new Uint8Array(SECTOR))
  return segments
}

export function headerBytes(
  shape: { readonly capacitySectors: number; readonly grainSectors: number; readonly entriesPerTable: number },
  { directorySector, parentCid }: { readonly directorySector: number | null; readonly parentCid: string },
): Uint8Array {
  const bytes = new Uint8Array(OVERHEAD_SECTORS * SECTOR)
  const view = new DataView(bytes.buffer)
  bytes.set(Buffer.from('KDMV'))
  view.setUint32(4, 3, true)
  view.setUint32(8, 0x30001, true)
  view.setBigUint64(12, BigInt(shape.capacitySectors), true)
  view.setBigUint64(20, BigInt(shape.grainSectors), true)
  view.setBigUint64(28, 1n, true)
  view.setBigUint64(36, 20n, true)
  view.setUint32(44, shape.entriesPerTable, true)
  view.setBigUint64(56, directorySector === null ? 0xffff_ffff_ffff_ffffn : BigInt(directorySector), true)
  view.setBigUint64(64, BigInt(OVERHEAD_SECTORS), true)
  bytes.set(Buffer.from('\n \r\n'), 73)
  view.setUint16(77, 1, true)
  const lines = [
    '# Disk DescriptorFile',
    'version=1',
    'CID=2b1cd3f7',
    `parentCID=${parentCid}`,
    'createType="streamOptimized"',
    '# Extent description',
    `RW ${shape.capacitySectors} SPARSE "disk.vmdk"`,
    '# The Disk Data Base',
    'ddb.virtualHWVersion = "4"',
    'ddb.adapterType = "lsilogic"',
    'ddb.geometry.cylinders = "1"',
    'ddb.geometry.heads = "255"',
    'ddb.geometry.sectors = "63"',
  ]
  bytes.set(Buffer.from(`${lines.join('\n')}\n`), SECTOR)
  return bytes
}

function grainBytesOf(sector: number, packed: Uint8Array): Uint8Array {
  const head = new DataView(new ArrayBuffer(12))
  head.setBigUint64(0, BigInt(sector), true)
  head.setUint32(8, packed.byteLength, true)
  return concatBytes([new Uint8Array(head.buffer), packed])
}

export function metadataBytes(type: number, content: Uint8Array): Uint8Array {
  const marker = new DataView(new ArrayBuffer(SECTOR))
  marker.setBigUint64(0, BigInt(Math.ceil(content.byteLength / SECTOR)), true)
  marker.setUint32(12, type, true)
  return concatBytes([new Uint8Array(marker.buffer), content])
}
