// Builds one pack in a buffer: header, sealed records, trailer, footer. Synchronous; no store.

import { constants, zstdCompressSync } from 'node:zlib'
import { assert } from '../base/errors.ts'
import {
  packBytesMax,
  packFooterBytes,
  packHeaderBytes,
  packHeaderMacBytes,
  trailerEntryBytes,
  writePackFooter,
  writePackHeader,
  writeTrailerEntry,
} from '../wire/repository/pack-frame.ts'
import {
  codecs,
  type PackRef,
  type RecordRef,
  type RecordType,
  recordIdBytes,
  recordsPerPackMax,
  recordTypes,
  tagBytes,
} from '../wire/repository/record-ref.ts'
import { metaMac, type RepositoryKeys } from './keys.ts'
import { packSeal, trailerIndex } from './seal.ts'

export type PlainRecord = {
  readonly plain: Uint8Array
  /** 32 bytes; kept by reference in the answer. */
  readonly id: Uint8Array
  readonly type: RecordType
}

export interface PackBuilder {
  readonly pack: PackRef
  readonly records: number
  /** Size of the pack if it were finished now. */
  readonly sizeBytes: number
  /** Whether a record of so many plain bytes is sure to fit. */
  fits(plainBytes: number): boolean
  add(record: PlainRecord): RecordRef
  /** The whole pack, a view of the buffer; nothing can be added afterwards. */
  finish(): Uint8Array
}

export type PackBuilderOptions = {
  readonly keys: RepositoryKeys
  readonly pack: PackRef
  /** Where the pack is built; at most 20 MiB of it are used. */
  readonly buffer: Buffer
  /** zstd level for chunks. */
  readonly compressionLevel: number
}

const noId = new Uint8Array(recordIdBytes)
/** Stored raw unless compression saves 3 % or more. */
const rawAbove = 0.97

export function packBuilder(options: PackBuilderOptions): PackBuilder {
  const { pack, buffer, keys } = options
  const seal = packSeal(keys, pack)
  const capacity = Math.min(buffer.byteLength, packBytesMax)
  let trailer = Buffer.alloc(256 * trailerEntryBytes)
  let used = packHeaderBytes
  let records = 0
  let finished = false
  writePackHeader(buffer, { pack, repositoryId: keys.repositoryId })
  const mac = metaMac(keys, { kid: pack.kid, bytes: buffer.subarray(0, packHeaderBytes - packHeaderMacBytes) })
  buffer.set(mac.subarray(0, packHeaderMacBytes), packHeaderBytes - packHeaderMacBytes)

  const endBytes = (count: number) => count * trailerEntryBytes + tagBytes + packFooterBytes
  return {
    pack,
    get records() {
      return records
    },
    get sizeBytes() {
      return used + endBytes(records)
    },
    fits: (plainBytes) =>
      records < recordsPerPackMax && used + plainBytes + tagBytes + endBytes(records + 1) <= capacity,
    add: ({ plain, id, type }) => {
      assert(!finished, 'a finished pack takes no record')
      const packed = type === recordTypes.chunk ? compress(plain, options.compressionLevel) : null
      const encoded = packed ?? plain
      const codec = packed === null ? codecs.raw : codecs.zstd
      assert(used + encoded.byteLength + tagBytes + endBytes(records + 1) <= capacity, 'a record fits its pack')
      const slot = records++
      const facts = { index: slot, type, codec, plainBytes: plain.byteLength, id }
      const offsetBytes = used
      const storedBytes = seal.seal(facts, { encoded, target: buffer, offset: offsetBytes })
      used += storedBytes
      if (trailer.byteLength < records * trailerEntryBytes) trailer = Buffer.concat([trailer], trailer.byteLength * 2)
      const entry = { id, offsetBytes, storedBytes, plainBytes: plain.byteLength, codec, type }
      writeTrailerEntry(trailer, { offset: slot * trailerEntryBytes, entry })
      return { id, pack, slot, offsetBytes, storedBytes, codec }
    },
    finish: () => {
      assert(!finished && records > 0, 'a pack is finished once and holds a record')
      finished = true
      const encoded = trailer.subarray(0, records * trailerEntryBytes)
      const facts = {
        index: trailerIndex,
        type: recordTypes.trailer,
        codec: codecs.raw,
        plainBytes: encoded.byteLength,
        id: noId,
      }
      const trailerOffset = used
      used += seal.seal(facts, { encoded, target: buffer, offset: used })
      writePackFooter(buffer, { trailerOffset, footerOffset: used, records })
      return buffer.subarray(0, used + packFooterBytes)
    },
  }
}

/**
 * An output buffer of ZSTD_compressBound() bytes lets zstd work in one pass without buffers of its own.
 * @returns null when the bytes are better stored as they are
 */
function compress(plain: Uint8Array, level: number): Uint8Array | null {
  const packed = zstdCompressSync(plain, {
    chunkSize: plain.byteLength + (plain.byteLength >> 8) + 128,
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 0 },
  })
  return packed.byteLength < plain.byteLength * rawAbove ? packed : null
}
