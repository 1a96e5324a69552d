// Wraps the master key under a passphrase: Argon2id, then AES-256-GCM. The parameters travel in the blob.

import { argon2, createCipheriv, createDecipheriv } from 'node:crypto'
import { promisify } from 'node:util'
import { concatBytes, utf8Encode } from '../../base/bytes.ts'
import { assert, BackupError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { KeyWrapper, WrapContext } from '../../ports/keys.ts'

export type PassphraseOptions = {
  readonly passphrase: string
  /** Draws salt and nonce: the system's except in tests. */
  readonly random: Random
  /** How hard guessing is made; only for new wraps. RFC 9106 section 4, second recommendation, when left out. */
  readonly cost?: Cost
}

export type Cost = { readonly memoryKiB: number; readonly passes: number; readonly lanes: number }

export const defaultCost: Cost = { memoryKiB: 64 * 1024, passes: 3, lanes: 4 }
/** What a blob may ask of the reader's memory. */
const memoryKiBMax = 2 * 1024 * 1024

const headBytes = 28
const nonceBytes = 12
const tagBytes = 16
const saltBytes = 16
const keyBytes = 32
const argon2id = promisify(argon2)

/**
 * | offset | size | blob |
 * | 0 | 1 | 1: Argon2id version 1.3, AES-256-GCM |
 * | 1 | 1 | lanes |
 * | 2 | 2 | zero |
 * | 4 | 4 | passes, little-endian |
 * | 8 | 4 | memory in KiB |
 * | 12 | 16 | salt |
 * | 28 | 12 | nonce |
 * | 40 | 32 | master key, encrypted |
 * | 72 | 16 | tag; additional data: bytes 0 to 40, then "vmb1/passphrase/<repositoryId>/<kid>" |
 *
 * The passphrase is UTF-8 in Unicode normalization form C.
 */
export function passphraseWrapper({ passphrase, random, cost = defaultCost }: PassphraseOptions): KeyWrapper {
  assert(passphrase.length > 0, 'a passphrase has at least one character')
  return {
    kind: 'passphrase',
    async wrap(key, context, { signal }) {
      assert(key.byteLength === keyBytes, 'a master key has 32 bytes')
      signal.throwIfAborted()
      const head = Buffer.alloc(headBytes)
      head.writeUInt8(1, 0)
      head.writeUInt8(cost.lanes, 1)
      head.writeUInt32LE(cost.passes, 4)
      head.writeUInt32LE(cost.memoryKiB, 8)
      head.set(random.bytes(saltBytes), 12)
      const nonce = random.bytes(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', await stretch(passphrase, head), nonce)
      cipher.setAAD(concatBytes([head, nonce, boundTo(context)]))
      const sealed = concatBytes([cipher.update(key), cipher.final()])
      return concatBytes([head, nonce, sealed, cipher.getAuthTag()])
    },
    async unwrap(blob, context, { signal }) {
      signal.throwIfAborted()
      const bytes = Buffer.from(blob)
      if (bytes.byteLength !== headBytes + nonceBytes + keyBytes + tagBytes || bytes[0] !== 1) throw unknownBlob()
      const head = bytes.subarray(0, headBytes)
      const nonce = bytes.subarray(headBytes, headBytes + nonceBytes)
      const decipher = createDecipheriv('aes-256-gcm', await stretch(passphrase, head), nonce)
      decipher.setAAD(concatBytes([head, nonce, boundTo(context)]))
      decipher.setAuthTag(bytes.subarray(bytes.byteLength - tagBytes))
      const key = decipher.update(bytes.subarray(headBytes + nonceBytes, bytes.byteLength - tagBytes))
      try {
        decipher.final()
      } catch {
        return null
      }
      return new Uint8Array(key)
    },
  }
}

async function stretch(passphrase: string, head: Buffer): Promise<Buffer> {
  const cost = { parallelism: head.readUInt8(1), passes: head.readUInt32LE(4), memory: head.readUInt32LE(8) }
  const sane = cost.parallelism >= 1 && cost.passes >= 1 && cost.passes <= 64 && cost.memory >= 8 * cost.parallelism
  if (!sane || cost.memory > memoryKiBMax) throw unknownBlob()
  return argon2id('argon2id', {
    message: utf8Encode(passphrase.normalize('NFC')),
    nonce: head.subarray(12, headBytes),
    tagLength: keyBytes,
    ...cost,
  })
}

function boundTo(context: WrapContext): Uint8Array {
  return utf8Encode(`vmb1/passphrase/${context.repositoryId}/${context.kid}`)
}

function unknownBlob(): BackupError {
  return new BackupError('Cannot unwrap the master key: its wrap is of an unknown form', {
    code: 'repository-version',
    kind: 'refused',
    hint: 'Use a newer version of Coldframe',
  })
}
