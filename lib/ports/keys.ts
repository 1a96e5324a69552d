// Keys that wrap the repository's master key: a passphrase now, a key service later. No code.

import type { Cancel } from '../base/time-limit.ts'

/** What a wrap is bound to: a blob unwraps only for the repository and key it was made for. */
export type WrapContext = { readonly repositoryId: string; readonly kid: string }

export interface KeyWrapper {
  /** 'passphrase' or the key service's name; written beside each blob. */
  readonly kind: string
  /** @param key 32 bytes */
  wrap(key: Uint8Array, context: WrapContext, cancel: Cancel): Promise<Uint8Array>
  /**
   * @returns the key; null when this wrapper cannot open the blob because it is of another passphrase or key
   * @throws BackupError when the key service refuses or cannot be reached
   */
  unwrap(blob: Uint8Array, context: WrapContext, cancel: Cancel): Promise<Uint8Array | null>
}
