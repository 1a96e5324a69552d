// The wrapped keys of a repository (keys/<kid>/<n>.json): made once, opened by any wrapper that fits.

import { createHash } from 'node:crypto'
import { bytesEqual, hexOf, utf8Encode } from '../base/bytes.ts'
import { BackupError, hasCode } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { KeyWrapper, WrapContext } from '../ports/keys.ts'
import type { ObjectStore } from '../ports/object-store.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { bytesOfHexExactly } from '../wire/repository/record-ref.ts'
import { type KeysJson, keysJson } from '../wire/repository/settings.ts'
import { claimedJson, splitCheck, withCheck } from './authentic-json.ts'
import { deriveKey } from './keys.ts'
import { keysPrefix, numberOf } from './object-keys.ts'
import { openOnce, sealOnce } from './seal.ts'

export type OpenedKey = { readonly kid: string; readonly master: Uint8Array; readonly chunkIdRoot: Uint8Array }

const label = 'vmb1/chunk-ids'
/** Wraps that open without any key service; a repository must have one, or losing the service loses everything. */
const ownKinds = ['passphrase', 'recovery-key']

/** @throws BackupError `repository-key` without a wrapper of one's own, or when a wrapper cannot open what it wrapped */
export async function writeKeys(
  write: {
    readonly store: ObjectStore
    readonly wrappers: readonly KeyWrapper[]
    readonly random: Random
    readonly repositoryId: string
  },
  cancel: Cancel,
): Promise<OpenedKey> {
  if (!write.wrappers.some((wrapper) => ownKinds.includes(wrapper.kind))) {
    throw new BackupError('Cannot create a repository whose only keys lie in a key service', {
      code: 'repository-key',
      kind: 'refused',
      hint: 'Give a passphrase too: it opens the repository when the key service is lost',
    })
  }
  const { random, repositoryId } = write
  const key = { kid: hexOf(random.bytes(8)), master: random.bytes(32), chunkIdRoot: random.bytes(32) }
  const context = { repositoryId, kid: key.kid }
  const wraps: KeysJson['wraps'] = []
  for (const wrapper of write.wrappers) {
    const blob = await wrapper.wrap(key.master, context, cancel)
    const again = await wrapper.unwrap(blob, context, cancel)
    if (again === null || !bytesEqual(again, key.master)) throw wrapFailed(wrapper.kind)
    wraps.push({ kind: wrapper.kind, blob: Buffer.from(blob).toString('base64') })
  }
  const salt = random.bytes(16)
  const sealed = sealOnce({ key: deriveKey(key.master, { salt, label }), aad: boundTo(context) }, key.chunkIdRoot)
  const value: KeysJson & { document: 'keys' } = {
    document: 'keys',
    ...context,
    wraps,
    chunkIds: { salt: hexOf(salt), sealed: Buffer.from(sealed).toString('base64') },
  }
  const bytes = withCheck(value, { name: 'sha256', of: sha256 })
  await write.store.putIfAbsent({ key: `${keysPrefix(key.kid)}1.json`, bytes }, cancel)
  return key
}

/**
 * Opens every key of the repository that the wrappers fit; the newest document that opens counts.
 * @returns an empty list when none fits
 * @throws BackupError `integrity` when documents of this repository are damaged and no other opens the same key
 */
export async function openKeys(
  open: {
    readonly store: ObjectStore
    readonly wrappers: readonly KeyWrapper[]
    readonly repositoryId: string
    readonly kid: string
  },
  cancel: Cancel,
): Promise<readonly OpenedKey[]> {
  const documents: { readonly kid: string; readonly number: number; readonly key: string }[] = []
  for await (const { key } of open.store.list('keys/', cancel)) {
    const kid = /^keys\/([0-9a-f]{16})\//.exec(key)?.[1]
    const number = kid === undefined ? null : numberOf(key, keysPrefix(kid))
    if (kid !== undefined && number !== null) documents.push({ kid, number, key })
  }
  documents.sort((left, right) => right.number - left.number)
  const opened = new Map<string, OpenedKey>()
  const faults: unknown[] = []
  for (const { kid, key } of documents) {
    if (opened.has(kid)) continue
    try {
      const found = await openDocument({ ...open, kid, key }, cancel)
      if (found !== null) opened.set(kid, found)
    } catch (error) {
      // A damaged or newer document of another key does not keep this one from opening.
      const foreign = kid !== open.kid && (hasCode(error, 'integrity') || hasCode(error, 'repository-version'))
      if (!foreign) faults.push(error)
    }
  }
  const damaged = faults.every((fault) => hasCode(fault, 'integrity'))
  if (faults.length > 0 && !(damaged && opened.has(open.kid))) throw faults[0]
  return [...opened.values()]
}

async function openDocument(
  open: {
    readonly store: ObjectStore
    readonly wrappers: readonly KeyWrapper[]
    readonly repositoryId: string
    readonly kid: string
    readonly key: string
  },
  cancel: Cancel,
): Promise<OpenedKey | null> {
  const what = `the wrapped keys "${open.key}"`
  const bytes = await open.store.get(open.key, cancel)
  if (bytes === null) throw corrupt(`Cannot read ${what}: the object is gone`)
  const json = keysJson.safeParse(claimedJson(bytes, what))
  const parts = splitCheck(bytes, 'sha256')
  if (!json.success || parts === null || !bytesEqual(parts.check, sha256(parts.covered))) {
    throw corrupt(`Cannot read ${what}: its checksum does not fit its text`)
  }
  const { repositoryId, kid, wraps, chunkIds } = json.data
  if (kid !== open.kid) throw corrupt(`Cannot read ${what}: it is of key "${kid}"`)
  if (repositoryId !== open.repositoryId) return null
  const context = { repositoryId, kid }
  const master = await unwrapMaster({ wraps, wrappers: open.wrappers, context }, cancel)
  if (master === null) return null
  const key = deriveKey(master, { salt: bytesOfHexExactly(chunkIds.salt, 16), label })
  const chunkIdRoot = openOnce({ key, aad: boundTo(context), what }, Buffer.from(chunkIds.sealed, 'base64'))
  return { kid, master: new Uint8Array(master), chunkIdRoot: new Uint8Array(chunkIdRoot) }
}

/** By any wrapper that fits. One that fails does not keep another from opening; when none opens, its failure is the answer. */
async function unwrapMaster(
  of: { readonly wraps: KeysJson['wraps']; readonly wrappers: readonly KeyWrapper[]; readonly context: WrapContext },
  cancel: Cancel,
): Promise<Uint8Array | null> {
  const failures: unknown[] = []
  for (const { kind, blob } of of.wraps) {
    for (const wrapper of of.wrappers.filter((candidate) => candidate.kind === kind)) {
      try {
        const master = await wrapper.unwrap(Buffer.from(blob, 'base64'), of.context, cancel)
        if (master !== null) return master
      } catch (error) {
        cancel.signal.throwIfAborted()
        failures.push(error)
      }
    }
  }
  if (failures.length > 0) throw failures[0]
  return null
}

function boundTo(context: WrapContext): Uint8Array {
  return utf8Encode(`vmb1/keys/${context.repositoryId}/${context.kid}`)
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

function wrapFailed(kind: string): BackupError {
  return new BackupError(`Cannot create a repository: what "${kind}" wrapped, it does not unwrap`, {
    code: 'repository-key',
    kind: 'refused',
  })
}
