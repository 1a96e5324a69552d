// AES-256-GCM as the repository uses it: records of a pack under the pack's own key, and single sealed texts.

import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { corrupt } from '../wire/repository/corrupt.ts'
import {
  bytesOfHexExactly,
  type Codec,
  type PackRef,
  packIdBytes,
  type RecordType,
  recordIdBytes,
  tagBytes,
} from '../wire/repository/record-ref.ts'
import { deriveKey, masterOf, type RepositoryKeys } from './keys.ts'

export type RecordFacts = {
  /** Number in the pack; the trailer's is 2^32 - 1. */
  readonly index: number
  readonly type: RecordType
  readonly codec: Codec
  readonly plainBytes: number
  readonly id: Uint8Array
}

export const trailerIndex = 0xffff_ffff
const algorithm = 'aes-256-gcm'
const tagOption = { authTagLength: tagBytes } as const
const aadBytes = 62
const nonceBytes = 12

/** Seals and opens the records of one pack. Not for use by two threads: nonce and additional data are reused buffers. */
export type PackSeal = {
  /** Writes cipher text and tag to `target` at `offset`; returns how many bytes: encoded length + 16. */
  seal(
    record: RecordFacts,
    place: { readonly encoded: Uint8Array; readonly target: Buffer; readonly offset: number },
  ): number
  /** @returns the encoded bytes; @throws BackupError `integrity` unless all of it is what was sealed */
  open(record: RecordFacts, stored: Uint8Array): Buffer
}

/**
 * Key: HKDF(K_master, salt = packId, "vmb1/pack"). Nonce: u32 zero, then the index as u64, little-endian.
 * Additional data: "vmb1", packId 16, index u32, type u8, codec u8, plain length u32, id 32.
 */
export function packSeal(keys: RepositoryKeys, pack: PackRef): PackSeal {
  const packId = bytesOfHexExactly(pack.packId, packIdBytes)
  const key = createSecretKey(deriveKey(masterOf(keys, pack.kid), { salt: packId, label: 'vmb1/pack' }))
  const nonce = Buffer.alloc(nonceBytes)
  const aad = Buffer.alloc(aadBytes)
  aad.write('vmb1', 0, 'latin1')
  aad.set(packId, 4)
  const prepare = (record: RecordFacts) => {
    nonce.writeUInt32LE(record.index, 4)
    aad.writeUInt32LE(record.index, 20)
    aad.writeUInt8(record.type, 24)
    aad.writeUInt8(record.codec, 25)
    aad.writeUInt32LE(record.plainBytes, 26)
    aad.set(record.id.subarray(0, recordIdBytes), 30)
  }
  return {
    seal: (record, { encoded, target, offset }) => {
      prepare(record)
      const cipher = createCipheriv(algorithm, key, nonce, tagOption)
      cipher.setAAD(aad)
      target.set(cipher.update(encoded), offset)
      cipher.final()
      target.set(cipher.getAuthTag(), offset + encoded.byteLength)
      return encoded.byteLength + tagBytes
    },
    open: (record, stored) => {
      prepare(record)
      return openSealed({ key, nonce, aad, stored, what: `record ${record.index} of pack "${pack.packId}"` })
    },
  }
}

const zeroNonce = Buffer.alloc(nonceBytes)

/** Seals one text under a key that is used once: derived from `salt`, which is random and new each time. */
export function sealOnce(use: { readonly key: Uint8Array; readonly aad: Uint8Array }, plain: Uint8Array): Uint8Array {
  const cipher = createCipheriv(algorithm, createSecretKey(use.key), zeroNonce, tagOption)
  cipher.setAAD(use.aad)
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** @throws BackupError `integrity` unless it is what was sealed, under this key and additional data */
export function openOnce(
  use: { readonly key: Uint8Array; readonly aad: Uint8Array; readonly what: string },
  sealed: Uint8Array,
): Buffer {
  return openSealed({ key: createSecretKey(use.key), nonce: zeroNonce, aad: use.aad, stored: sealed, what: use.what })
}

function openSealed(sealed: {
  readonly key: KeyObject
  readonly nonce: Uint8Array
  readonly aad: Uint8Array
  readonly stored: Uint8Array
  readonly what: string
}): Buffer {
  const { stored } = sealed
  if (stored.byteLength < tagBytes) throw corrupt(`Cannot open ${sealed.what}: ${stored.byteLength} bytes are too few`)
  const tagStart = stored.byteLength - tagBytes
  const decipher = createDecipheriv(algorithm, sealed.key, sealed.nonce, tagOption)
  decipher.setAAD(sealed.aad)
  decipher.setAuthTag(stored.subarray(tagStart))
  const plain = decipher.update(stored.subarray(0, tagStart))
  try {
    decipher.final()
  } catch (cause) {
    throw corrupt(`Cannot open ${sealed.what}: its bytes are not what was sealed`, { cause })
  }
  return plain
}
