// A store of immutable objects: a folder, memory, an S3 bucket. No code. Nothing here deletes or overwrites.

import type { Cancel } from '../base/time-limit.ts'

export type ObjectFacts = {
  readonly key: string
  readonly sizeBytes: number
  /** The store's own time, ISO 8601 in UTC. */
  readonly modifiedAt: string
}

/** Keys: 1 to 512 characters of a-z, A-Z, 0-9, '.', '_', '-', '/', '#'; no empty, '.' or '..' part. */
export interface ObjectStore {
  /** Stores the whole object durably, only if the key is absent: of two at once exactly one is told 'stored'. */
  putIfAbsent(
    object: { readonly key: string; readonly bytes: Uint8Array },
    cancel: Cancel,
  ): Promise<'stored' | 'exists'>
  /** @returns null only when the store says that there is no such key; a refusal is an error */
  get(key: string, cancel: Cancel): Promise<Uint8Array | null>
  /**
   * Fills `target` whole from `offsetBytes`.
   * @throws BackupError `object-missing`, or `object-short` when the range does not lie inside the object
   */
  getRange(
    range: { readonly key: string; readonly offsetBytes: number; readonly target: Uint8Array },
    cancel: Cancel,
  ): Promise<void>
  head(key: string, cancel: Cancel): Promise<ObjectFacts | null>
  /** Every key that starts with `prefix`, in ascending order of UTF-8 bytes. */
  list(prefix: string, cancel: Cancel): AsyncIterable<ObjectFacts>
}
