// Decodes a stream-optimized VMDK as it comes: what vCenter gives for an export, and what restores may be given. Every
// grain is decompressed once and handed on; at the end the grain map must list exactly what came, where it came. The
// number of bytes proves nothing, and is not asked.
//
//   header | descriptor | … | grains and tables, each behind a marker | directory | footer | end of stream
//
// Some writers (qemu-img among them) put directory and tables before the grains, and the header says where; then there is
// no footer, and zeros may follow the end, up to a grain's size.
//
//   marker: u64 value, u32 size; size > 0: a grain of `size` bytes (RFC 1950) at sector `value` of the disk, up to the next
//   sector's border; size 0: u32 type: 0 end of stream, 1 grain table, 2 grain directory, 3 footer; `value` sectors follow
//
// The format's description does not say that grains ascend, though every writer known to us writes them so. A disk whose
// grains do not cannot be handed on in order without holding it, so it is refused.
//
// Source: VMware, Virtual Disk Format 5.0, "Stream-Optimized Compressed".

import { constants, inflateSync } from 'node:zlib'
import { isAllZero } from '../../base/bytes.ts'
import { type ByteStream, byteStream } from './byte-stream.ts'
import { malformedStream, unsupportedStream } from './faults.ts'
import { type GrainMap, grainMap } from './grain-map.ts'
import { decodeSparseHeader, SECTOR_BYTES, type SparseHeader } from './sparse-header.ts'

export type Grain = { readonly offsetBytes: number; readonly bytes: Uint8Array }

export type VmdkStream = {
  readonly capacityBytes: number
  /** CID of the embedded descriptor; null where there is none. */
  readonly contentId: string | null
  /**
   * The disk's grains, ascending; what lies between them is zero. Each grain's bytes are the caller's. Ends, instead of
   * throwing, only when the stream was seen to be whole.
   */
  readonly grains: AsyncGenerator<Grain, void>
}

/**
 * Reads up to the first grain.
 * @param source its pieces are not kept
 * @throws BackupError, by this and by `grains`: `vmdk-stream-malformed` (retry later), `vmdk-stream-unsupported`
 */
export async function decodeVmdkStream(source: AsyncIterator<Uint8Array>): Promise<VmdkStream> {
  const bytes = byteStream(source)
  const header = decodeSparseHeader(await bytes.take(SECTOR_BYTES), 0)
  const map = grainMap(header)
  const contentId = await readDescriptor(bytes, header)
  if (header.directorySector !== null) await readFrontMap(bytes, { header, map, sector: header.directorySector })
  await skipTo(bytes, Math.max(1, header.overheadSectors))
  return {
    capacityBytes: header.capacitySectors * SECTOR_BYTES,
    contentId,
    grains: readGrains({ bytes, header, map }),
  }
}

type Parts = { readonly bytes: ByteStream; readonly header: SparseHeader; readonly map: GrainMap }

const END_OF_STREAM = 0
const GRAIN_TABLE = 1
const GRAIN_DIRECTORY = 2
const FOOTER = 3
const MARKER_BYTES = 12

async function readDescriptor(bytes: ByteStream, header: SparseHeader): Promise<string | null> {
  if (header.descriptorSector === 0 || header.descriptorSectors === 0) return null
  await skipTo(bytes, header.descriptorSector)
  const at = bytes.positionBytes()
  const text = Buffer.from(await bytes.take(header.descriptorSectors * SECTOR_BYTES)).toString('latin1')
  const setting = (key: string) => new RegExp(`^${key}\\s*=\\s*"?([^"\\r\\n]*?)"?\\s*$`, 'mi').exec(text)?.[1] ?? null
  const parent = setting('parentCID')
  if (parent !== null && parent.toLowerCase() !== 'ffffffff')
    throw unsupportedStream('its descriptor says that it is a delta of another disk', at)
  const sectors = [...text.matchAll(/^(?:RW|RDONLY)\s+(\d+)\s/gm)].map(([, count]) => Number(count))
  if (sectors.length > 1) throw unsupportedStream('its descriptor names several extents', at)
  if (sectors[0] !== undefined && sectors[0] !== header.capacitySectors)
    throw malformedStream(`its descriptor has ${sectors[0]} sectors, its header ${header.capacitySectors}`, at)
  return setting('CID')
}

/** The directory, and after it the tables that it lists, in any order of theirs. */
async function readFrontMap(
  bytes: ByteStream,
  { header, map, sector }: Omit<Parts, 'bytes'> & { readonly sector: number },
): Promise<void> {
  await skipTo(bytes, sector)
  await readDirectory(bytes, map)
  for (const table of map.listedTables()) {
    if (table >= header.overheadSectors)
      throw unsupportedStream(`a grain table is at sector ${table}, after the first grains`, sector * SECTOR_BYTES)
    await skipTo(bytes, table)
    map.table(await bytes.take(map.tableBytes), table)
  }
}

async function readDirectory(bytes: ByteStream, map: GrainMap): Promise<void> {
  for (let at = 0; at < map.directoryBytes; at += SECTOR_BYTES) map.directory(await bytes.take(SECTOR_BYTES), at)
}

async function* readGrains({ bytes, header, map }: Parts): AsyncGenerator<Grain, void> {
  const grainBytes = header.grainSectors * SECTOR_BYTES
  const capacityBytes = header.capacitySectors * SECTOR_BYTES
  let grainsEnd = 0
  const tail = mapTail({ bytes, header, map })
  while (!(await tail.ended())) {
    const at = bytes.positionBytes()
    const marker = viewOf(await bytes.peek(MARKER_BYTES + 4))
    const size = marker.getUint32(8, true)
    if (size === 0) {
      await tail.metadata({ type: marker.getUint32(12, true), sectors: marker.getBigUint64(0, true) })
      continue
    }
    if (tail.closed()) throw malformedStream('a grain comes after the grain directory', at)
    const offsetBytes = grainOffset(marker.getBigUint64(0, true), { at, grainBytes, capacityBytes, grainsEnd })
    if (size > grainBytes + grainBytes / 8 + SECTOR_BYTES)
      throw malformedStream(`a grain of ${grainBytes} bytes has ${size} bytes compressed`, at)
    map.grain(offsetBytes / grainBytes, at / SECTOR_BYTES)
    const padded = await bytes.take(sectorsUp(MARKER_BYTES + size))
    const inflated = inflateGrain(padded.subarray(MARKER_BYTES, MARKER_BYTES + size), { at, grainBytes })
    const lengthBytes = Math.min(grainBytes, capacityBytes - offsetBytes)
    if (inflated.byteLength !== grainBytes && inflated.byteLength !== lengthBytes)
      throw malformedStream(`a grain has ${inflated.byteLength} bytes, and must have ${lengthBytes}`, at)
    grainsEnd = offsetBytes + grainBytes
    yield { offsetBytes, bytes: inflated.subarray(0, lengthBytes) }
  }
}

function grainOffset(
  sector: bigint,
  place: {
    readonly at: number
    readonly grainBytes: number
    readonly capacityBytes: number
    readonly grainsEnd: number
  },
): number {
  const { at, grainBytes, capacityBytes, grainsEnd } = place
  if (sector * BigInt(SECTOR_BYTES) >= BigInt(capacityBytes))
    throw malformedStream(`a grain is at sector ${sector}, outside the disk`, at)
  const offsetBytes = Number(sector) * SECTOR_BYTES
  if (offsetBytes % grainBytes !== 0) throw malformedStream(`a grain is at sector ${sector}, inside another one`, at)
  if (offsetBytes === grainsEnd - grainBytes) throw malformedStream(`the grain at sector ${sector} comes twice`, at)
  if (offsetBytes < grainsEnd)
    throw unsupportedStream(`the grain at sector ${sector} comes after later ones, so it is no stream in order`, at)
  return offsetBytes
}

function inflateGrain(
  bytes: Uint8Array,
  { at, grainBytes }: { readonly at: number; readonly grainBytes: number },
): Uint8Array {
  try {
    return inflateSync(bytes, {
      maxOutputLength: grainBytes,
      // One piece, and the inflater sees that nothing follows.
      chunkSize: grainBytes + 64,
      finishFlush: constants.Z_FINISH,
    })
  } catch (error) {
    const tooLong = error instanceof RangeError
    const reason = tooLong ? `a grain has more than its ${grainBytes} bytes` : 'a grain cannot be decompressed'
    throw malformedStream(reason, at, error)
  }
}

/** Tables, directory, footer and end: what comes between the grains and after them. */
function mapTail({ bytes, header, map }: Parts) {
  const inFront = header.directorySector !== null
  let directoryAt = inFront ? (header.directorySector ?? 0) * SECTOR_BYTES : null
  let footerSeen = false
  let isOver = false
  const finish = () => {
    map.check(directoryAt ?? 0)
    isOver = true
  }
  const readFooter = async (at: number) => {
    const footer = decodeSparseHeader(await bytes.take(SECTOR_BYTES), at)
    const { directorySector, capacitySectors, grainSectors, entriesPerTable } = footer
    const same =
      capacitySectors === header.capacitySectors &&
      grainSectors === header.grainSectors &&
      entriesPerTable === header.entriesPerTable
    if (!same) throw malformedStream('the footer describes another disk than the header', at)
    if (directorySector === null || directorySector * SECTOR_BYTES !== directoryAt)
      throw malformedStream('the footer says that the grain directory is elsewhere', at)
    footerSeen = true
  }
  const endOfStream = async (at: number) => {
    if (!inFront && !footerSeen) throw malformedStream('the stream ends without a footer', at)
    const spareBytes = inFront ? (header.grainSectors + 1) * SECTOR_BYTES : 0
    for (let spare = 0; !(await bytes.ended()); spare += SECTOR_BYTES) {
      if (spare >= spareBytes || !isAllZero(await bytes.take(SECTOR_BYTES)))
        throw malformedStream('bytes follow the end of the stream', bytes.positionBytes())
    }
    finish()
  }
  return {
    /** Nothing is left, and everything was checked. */
    ended: async (): Promise<boolean> => {
      if (!isOver && inFront && (await bytes.ended())) finish()
      return isOver
    },
    /** No grain may come any more. */
    closed: () => !inFront && directoryAt !== null,
    metadata: async ({ type, sectors }: { readonly type: number; readonly sectors: bigint }): Promise<void> => {
      const at = bytes.positionBytes()
      await bytes.take(SECTOR_BYTES)
      const after = at + SECTOR_BYTES
      const lengthBytes = sectors * BigInt(SECTOR_BYTES)
      const needBytes = (needed: number, what: string) => {
        if (lengthBytes !== BigInt(needed))
          throw malformedStream(`${what} has ${sectors} sectors, and must have ${needed / SECTOR_BYTES}`, at)
      }
      if (type === END_OF_STREAM) return await endOfStream(at)
      if (inFront || footerSeen) throw malformedStream(`a marker of type ${type} comes where only the end may`, at)
      if (type === GRAIN_TABLE && directoryAt === null) {
        needBytes(map.tableBytes, 'a grain table')
        return map.table(await bytes.take(map.tableBytes), after / SECTOR_BYTES)
      }
      if (type === GRAIN_DIRECTORY && directoryAt === null) {
        needBytes(map.directoryBytes, 'the grain directory')
        directoryAt = after
        return await readDirectory(bytes, map)
      }
      if (type !== FOOTER || directoryAt === null)
        throw malformedStream(`a marker of type ${type} comes where none may`, at)
      needBytes(SECTOR_BYTES, 'the footer')
      await readFooter(after)
    },
  }
}

async function skipTo(bytes: ByteStream, sector: number): Promise<void> {
  const target = sector * SECTOR_BYTES
  const at = bytes.positionBytes()
  if (target < at) throw unsupportedStream(`what is at sector ${sector} lies before what the header puts first`, at)
  while (bytes.positionBytes() < target) await bytes.take(SECTOR_BYTES)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function sectorsUp(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES
}
