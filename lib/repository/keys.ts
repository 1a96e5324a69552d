// The repository's keys and what is derived from them. Plain data: workers get it by structured clone. Never logged.

import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto'
import { utf8Encode } from '../base/bytes.ts'
import { BackupError } from '../base/errors.ts'
import type { VmId } from '../model/ids.ts'
import { bytesOfHexExactly } from '../wire/repository/record-ref.ts'

export type RepositoryKeys = {
  /** 32 hex digits. */
  readonly repositoryId: string
  /** Which master new packs are sealed under: 16 hex digits. */
  readonly kid: string
  /** 32 bytes each, by kid: points written under several masters read as one. */
  readonly masters: Readonly<Record<string, Uint8Array>>
  /** 32 bytes; every domain's chunk-id key is derived from it. Never rotated. */
  readonly chunkIdRoot: Uint8Array
}

/** HKDF-SHA-256, 32 bytes. */
export function deriveKey(from: Uint8Array, use: { readonly salt: Uint8Array; readonly label: string }): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', from, use.salt, use.label, 32))
}

/** @throws BackupError `repository-key` for a kid that was not opened */
export function masterOf(keys: RepositoryKeys, kid: string): Uint8Array {
  const master = keys.masters[kid]
  if (master === undefined) {
    throw new BackupError(`Cannot read what is sealed under master key "${kid}": this key was not opened`, {
      code: 'repository-key',
      kind: 'refused',
      hint: 'Open the repository with a passphrase or key that unwraps it',
      facts: { kid },
    })
  }
  return master
}

/** HMAC-SHA-256 under K_meta of `kid`, 32 bytes: authenticates what is not encrypted. */
export function metaMac(keys: RepositoryKeys, text: { readonly kid: string; readonly bytes: Uint8Array }): Uint8Array {
  return createHmac('sha256', metaKey(keys, text.kid)).update(text.bytes).digest()
}

const metaKeys = new WeakMap<RepositoryKeys, Map<string, KeyObject>>()

/** K_meta is asked for with every pack: derived once for the life of the keys. */
function metaKey(keys: RepositoryKeys, kid: string): KeyObject {
  const known = metaKeys.get(keys) ?? new Map<string, KeyObject>()
  metaKeys.set(keys, known)
  const salt = bytesOfHexExactly(keys.repositoryId, 16)
  const key = known.get(kid) ?? createSecretKey(deriveKey(masterOf(keys, kid), { salt, label: 'vmb1/meta' }))
  known.set(kid, key)
  return key
}

export function sameMac(left: Uint8Array, right: Uint8Array): boolean {
  return left.byteLength === right.byteLength && timingSafeEqual(left, right)
}

/** Gives the 32-byte id of a chunk's or page's plain bytes. Synchronous; one call a chunk. */
export type ChunkHasher = (plain: Uint8Array) => Uint8Array

/** Ids of one domain. Chunks are shared inside a domain only; the domain of a VM's disks is the VM. */
export function chunkHasher(keys: RepositoryKeys, domain: VmId): ChunkHasher {
  const key: KeyObject = createSecretKey(
    deriveKey(keys.chunkIdRoot, { salt: utf8Encode(domain), label: 'vmb1/chunk-id' }),
  )
  return (plain) => createHmac('sha256', key).update(plain).digest()
}
