// Decides for each chunk that was read whether it is a hole, the parent's, one of this session's, or new; stores new ones.

import { bytesEqual, isAllZero } from '../base/bytes.ts'
import type { VmId } from '../model/ids.ts'
import { emptyLeaf } from '../wire/repository/page.ts'
import { type RecordRef, recordTypes } from '../wire/repository/record-ref.ts'
import type { StoredLeaf } from './disk-map-reader.ts'
import { chunkHasher } from './keys.ts'
import type { PackWriter } from './pack-writer.ts'
import type { Repository } from './repository.ts'
import type { SessionTable } from './session-table.ts'

/** Where a chunk of a leaf lies; null is a hole. */
export type ChunkEntry = RecordRef | null

export type ChunkWriterOptions = {
  readonly repository: Repository
  readonly domain: VmId
  /** A writer of kind 'data'. */
  readonly packs: PackWriter
  readonly table: SessionTable
}

export type ChunkCounts = {
  readonly newChunks: number
  readonly newPlainBytes: number
  readonly newStoredBytes: number
}

export interface ChunkWriter {
  /** Null when put() may be called now. */
  room(): Promise<void> | null
  /** @param before what the parent has at this place; the same bytes give the same entry, and nothing is stored */
  put(plain: Uint8Array, before: ChunkEntry): ChunkEntry
  /** New chunks since the writer was made, in all. */
  counts(): ChunkCounts
}

export function chunkWriter({ repository, domain, packs, table }: ChunkWriterOptions): ChunkWriter {
  const hasher = chunkHasher(repository.keys, domain)
  const counts = { newChunks: 0, newPlainBytes: 0, newStoredBytes: 0 }
  return {
    room: packs.room,
    counts: () => ({ ...counts }),
    put: (plain, before) => {
      if (isAllZero(plain)) return null
      const id = hasher(plain)
      if (before !== null && bytesEqual(before.id, id)) return before
      const known = table.find(id)
      if (known !== null) return known
      const ref = packs.add({ plain, id, type: recordTypes.chunk })
      table.remember(ref)
      counts.newChunks++
      counts.newPlainBytes += plain.byteLength
      counts.newStoredBytes += ref.storedBytes
      return ref
    },
  }
}

/** The entries a leaf starts from: its parent's, or holes. */
export function leafEntries(parent: StoredLeaf | null): ChunkEntry[] {
  return [...(parent?.leaf ?? emptyLeaf(0)).entries]
}
