// Reads sealed records: neighbours in one pack by one ranged read, every one authenticated, and its id compared.

import { zstdDecompressSync } from 'node:zlib'
import { bytesEqual } from '../base/bytes.ts'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import {
  codecs,
  type PackRef,
  type RecordRef,
  type RecordType,
  recordTypes,
  tagBytes,
} from '../wire/repository/record-ref.ts'
import type { ChunkHasher, RepositoryKeys } from './keys.ts'
import { packKey } from './object-keys.ts'
import type { Repository } from './repository.ts'
import { type PackSeal, packSeal } from './seal.ts'

/** One ranged read of one pack and the records in it, ascending by offset. */
export type ReadPart = {
  readonly pack: PackRef
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly refs: readonly RecordRef[]
}

export type ReadLimits = {
  /** Unwanted bytes between two records that are read along rather than asked for apart. */
  readonly gapBytesMax: number
  readonly readBytesMax: number
}

export const defaultReadLimits: ReadLimits = { gapBytesMax: 128 * 1024, readBytesMax: 16 * 1024 * 1024 }

/** Pure: groups records by pack and joins neighbours. Equal records are read once. */
export function planReads(refs: readonly RecordRef[], limits: ReadLimits): readonly ReadPart[] {
  const byPack = new Map<string, RecordRef[]>()
  for (const ref of refs) {
    const group = byPack.get(ref.pack.packId)
    if (group === undefined) byPack.set(ref.pack.packId, [ref])
    else group.push(ref)
  }
  const parts: ReadPart[] = []
  for (const group of byPack.values()) {
    group.sort((left, right) => left.offsetBytes - right.offsetBytes)
    let taken: RecordRef[] = []
    let start = 0
    let end = 0
    const cut = () => {
      const first = taken[0]
      if (first !== undefined)
        parts.push({ pack: first.pack, offsetBytes: start, lengthBytes: end - start, refs: taken })
      taken = []
    }
    for (const ref of group) {
      const refEnd = ref.offsetBytes + ref.storedBytes
      const far = ref.offsetBytes > end + limits.gapBytesMax || refEnd - start > limits.readBytesMax
      if (taken.length > 0 && far) cut()
      if (taken.length === 0) start = end = ref.offsetBytes
      taken.push(ref)
      end = Math.max(end, refEnd)
    }
    cut()
  }
  return parts
}

/** The stored bytes of records, by record; a record that could not be read has its error instead. */
export type FetchedRecords = ReadonlyMap<RecordRef, Uint8Array | BackupError>

/**
 * Reads one part. When the pack is missing or short, its records are read one by one, so that only what is lost is lost.
 * @throws what the store throws for a refusal or a failure that says nothing about the bytes
 */
export async function fetchPart(repository: Repository, part: ReadPart, cancel: Cancel): Promise<FetchedRecords> {
  const fetched = new Map<RecordRef, Uint8Array | BackupError>()
  const buffer = Buffer.allocUnsafeSlow(part.lengthBytes)
  try {
    const range = { key: packKey(part.pack), offsetBytes: part.offsetBytes, target: buffer }
    await repository.store.getRange(range, cancel)
  } catch (error) {
    const lost = error instanceof BackupError && (error.code === 'object-missing' || error.code === 'object-short')
    if (!lost) throw error
    const cause = corrupt(`Cannot read pack "${part.pack.packId}": ${error.message}`, {
      cause: error,
      facts: { key: packKey(part.pack) },
    })
    const alone = part.refs.length === 1 || error.code === 'object-missing'
    for (const ref of part.refs) {
      if (alone) fetched.set(ref, cause)
      else for (const [one, bytes] of await fetchPart(repository, soleRead(ref), cancel)) fetched.set(one, bytes)
    }
    return fetched
  }
  for (const ref of part.refs) {
    const start = ref.offsetBytes - part.offsetBytes
    fetched.set(ref, buffer.subarray(start, start + ref.storedBytes))
  }
  return fetched
}

function soleRead(ref: RecordRef): ReadPart {
  return { pack: ref.pack, offsetBytes: ref.offsetBytes, lengthBytes: ref.storedBytes, refs: [ref] }
}

export type RecordOpener = {
  /** @throws BackupError `integrity` unless the bytes are exactly the record that `ref` names */
  openChunk(ref: RecordRef, stored: Uint8Array, plainBytes: number): Uint8Array
  openPage(ref: RecordRef, stored: Uint8Array, type: RecordType): Uint8Array
}

const sealsKeptMax = 64

/** Opens records of one domain; keeps the keys of the last packs. */
export function recordOpener(keys: RepositoryKeys, hasher: ChunkHasher): RecordOpener {
  const seals = new Map<string, PackSeal>()
  const sealOf = (pack: PackRef) => {
    const name = `${pack.packId}/${pack.kid}`
    const kept = seals.get(name)
    if (kept !== undefined) return kept
    const first = seals.keys().next().value
    if (seals.size >= sealsKeptMax && first !== undefined) seals.delete(first)
    const seal = packSeal(keys, pack)
    seals.set(name, seal)
    return seal
  }
  const open = (
    ref: RecordRef,
    stored: Uint8Array,
    record: { readonly type: RecordType; readonly plainBytes: number },
  ) => {
    const facts = { index: ref.slot, type: record.type, codec: ref.codec, plainBytes: record.plainBytes, id: ref.id }
    const encoded = sealOf(ref.pack).open(facts, stored)
    const plain = ref.codec === codecs.raw ? encoded : decompress(ref, encoded, record.plainBytes)
    if (plain.byteLength === record.plainBytes && bytesEqual(hasher(plain), ref.id)) return plain
    throw corrupt(`Cannot read record ${ref.slot} of pack "${ref.pack.packId}": its bytes do not have its id`)
  }
  return {
    openChunk: (ref, stored, plainBytes) => open(ref, stored, { type: recordTypes.chunk, plainBytes }),
    openPage: (ref, stored, type) => open(ref, stored, { type, plainBytes: ref.storedBytes - tagBytes }),
  }
}

function decompress(ref: RecordRef, encoded: Uint8Array, plainBytes: number): Buffer {
  try {
    return zstdDecompressSync(encoded, { chunkSize: Math.max(1024, plainBytes), maxOutputLength: plainBytes })
  } catch (cause) {
    throw corrupt(`Cannot decompress record ${ref.slot} of pack "${ref.pack.packId}"`, { cause })
  }
}

/** One page by one read. */
export async function readPage(
  read: {
    readonly repository: Repository
    readonly opener: RecordOpener
    readonly ref: RecordRef
    readonly type: RecordType
  },
  cancel: Cancel,
): Promise<Uint8Array> {
  const { ref } = read
  const stored = (await fetchPart(read.repository, soleRead(ref), cancel)).get(ref)
  if (stored === undefined || stored instanceof BackupError) throw stored ?? corrupt('Cannot read a page: nothing came')
  return read.opener.openPage(ref, stored, read.type)
}
