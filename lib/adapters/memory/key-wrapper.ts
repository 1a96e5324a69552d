// A key service of this process: wraps under a key that it alone holds, as a cloud's key service would; for tests.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { concatBytes, utf8Encode } from '../../base/bytes.ts'
import { assert } from '../../base/errors.ts'
import type { KeyWrapper, WrapContext } from '../../ports/keys.ts'

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Two of them cannot open each other's blobs. */
export function memoryKeyWrapper(kind = 'memory'): KeyWrapper {
  const own = randomBytes(32)
  return {
    kind,
    wrap: async (key, context, { signal }) => {
      signal.throwIfAborted()
      assert(key.byteLength === 32, 'a master key has 32 bytes')
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', own, nonce).setAAD(boundTo(context))
      return concatBytes([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()])
    },
    unwrap: async (blob, context, { signal }) => {
      signal.throwIfAborted()
      if (blob.byteLength !== NONCE_BYTES + 32 + TAG_BYTES) return null
      const opener = createDecipheriv('aes-256-gcm', own, blob.subarray(0, NONCE_BYTES)).setAAD(boundTo(context))
      opener.setAuthTag(blob.subarray(-TAG_BYTES))
      try {
        return concatBytes([opener.update(blob.subarray(NONCE_BYTES, -TAG_BYTES)), opener.final()])
      } catch {
        // Not authentic under this key and context: of another key.
        return null
      }
    },
  }
}

function boundTo({ repositoryId, kid }: WrapContext): Uint8Array {
  return utf8Encode(`${repositoryId}/${kid}`)
}
