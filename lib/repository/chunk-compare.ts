// Whether bytes that were read again are what a point keeps at their place.

import { bytesEqual, isAllZero } from '../base/bytes.ts'
import type { VmId } from '../model/ids.ts'
import type { ChunkEntry } from './chunk-writer.ts'
import { chunkHasher } from './keys.ts'
import type { Repository } from './repository.ts'

/** @param plain a whole chunk; @param kept what the point has there: null is a hole */
export type ChunkCompare = (plain: Uint8Array, kept: ChunkEntry) => boolean

/** Compares by ids: nothing is fetched. A hole is equal to zeros alone. */
export function chunkCompare({ keys }: Pick<Repository, 'keys'>, domain: VmId): ChunkCompare {
  const hasher = chunkHasher(keys, domain)
  return (plain, kept) => {
    if (kept === null) return isAllZero(plain)
    return !isAllZero(plain) && bytesEqual(kept.id, hasher(plain))
  }
}
