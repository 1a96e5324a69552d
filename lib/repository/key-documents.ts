// The wrapped keys of a repository (keys/<kid>/<n>.json): made once, opened by any wrapper that fits.

import { createHash } from 'node:crypto'
import { bytesEqual, hexOf, utf8Encode } from '../base/bytes.ts'
import { BackupError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { KeyWrapper, WrapContext } from '../ports/keys.ts'
import type { ObjectStore } from '../ports/object-store.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { bytesOfHexExactly } from '../wire/repository/record-ref.ts'
import { type KeysJson, keysJson } from '../wire/repository/settings.ts'
import { checkDocument, splitCheck, unprovenJson, withCheck } from './authentic-json.ts'
import { deriveKey } from './keys.ts'
import { keysPrefix, numberOf } from './object-keys.ts'
import { openOnce, sealOnce } from './seal.ts'

export type OpenedKey = { readonly kid: string; readonly master: Uint8Array; readonly chunkIdRoot: Uint8Array }

/** With what the document says, of which only the key is proven. */
export type OpenedDocument = OpenedKey & { readonly json: KeysJson }

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
  for (const wrapper of write.wrappers) wraps.push(await provenWrap(wrapper, { master: key.master, context }, cancel))
  const salt = random.bytes(16)
  const sealed = sealOnce({ key: deriveKey(key.master, { salt, label }), aad: boundTo(context) }, key.chunkIdRoot)
  const chunkIds = { salt: hexOf(salt), sealed: Buffer.from(sealed).toString('base64') }
  const bytes = encodeKeys({ ...context, wraps, chunkIds })
  await write.store.putIfAbsent({ key: `${keysPrefix(key.kid)}1.json`, bytes }, cancel)
  return key
}

/** Wraps the master key, and opens the wrap again. @throws BackupError `repository-key` when that gives another key */
export async function provenWrap(
  wrapper: KeyWrapper,
  { master, context }: { readonly master: Uint8Array; readonly context: WrapContext },
  cancel: Cancel,
): Promise<KeysJson['wraps'][number]> {
  const blob = await wrapper.wrap(master, context, cancel)
  const again = await wrapper.unwrap(blob, context, cancel)
  if (again === null || !bytesEqual(again, master)) throw wrapFailed(wrapper.kind)
  return { kind: wrapper.kind, blob: Buffer.from(blob).toString('base64') }
}

export function encodeKeys(json: KeysJson): Uint8Array {
  return withCheck({ document: 'keys', ...json }, { name: 'sha256', of: sha256 })
}

/**
 * Opens every key of the repository that the wrappers fit; the newest document that opens counts. Documents prove
 * themselves only by being opened, so a fault of one counts only when no other opens the same key.
 * @returns without `kid` when documents of it are there and none fits
 * @throws BackupError `integrity` when those of `kid` are damaged or none is there, `repository-version` when they are newer;
 * what a key service throws that may pass
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
  const documents = await listKeyDocuments(open.store, cancel)
  const opened = new Map<string, OpenedKey>()
  const faults: { readonly kid: string; readonly error: BackupError }[] = []
  let unfit = false
  for (const { kid, key } of documents) {
    if (opened.has(kid)) continue
    const bytes = await open.store.get(key, cancel)
    try {
      const found = await openDocument({ ...open, kid, key, bytes: bytes ?? new Uint8Array() }, cancel)
      if (found !== null) opened.set(kid, found)
      else unfit ||= kid === open.kid
    } catch (error) {
      cancel.signal.throwIfAborted()
      if (!(error instanceof BackupError)) throw error
      faults.push({ kid, error })
    }
  }
  const mayPass = faults.find(({ kid, error }) => !opened.has(kid) && error.retry === 'later')
  if (mayPass !== undefined) throw mayPass.error
  if (opened.has(open.kid)) return [...opened.values()]
  if (!documents.some(({ kid }) => kid === open.kid)) {
    throw corrupt(`Cannot open repository "${open.repositoryId}": there are no wrapped keys "${keysPrefix(open.kid)}"`)
  }
  const own = faults.filter(({ kid }) => kid === open.kid).map(({ error }) => error)
  const telling = own.find((error) => error.code !== 'integrity') ?? (unfit ? undefined : own[0])
  if (telling !== undefined) throw telling
  return [...opened.values()]
}

type KeyDocument = { readonly kid: string; readonly number: number; readonly key: string }

/** By descending number. */
export async function listKeyDocuments(store: ObjectStore, cancel: Cancel): Promise<readonly KeyDocument[]> {
  const documents: KeyDocument[] = []
  for await (const { key } of store.list('keys/', cancel)) {
    const kid = /^keys\/([0-9a-f]{16})\//.exec(key)?.[1]
    const number = kid === undefined ? null : numberOf(key, keysPrefix(kid))
    if (kid !== undefined && number !== null) documents.push({ kid, number, key })
  }
  return documents.toSorted((left, right) => right.number - left.number)
}

/** @returns null when it is of another repository, or no wrapper fits; @throws BackupError `integrity`, `repository-version` */
export async function openDocument(
  open: {
    readonly bytes: Uint8Array
    readonly wrappers: readonly KeyWrapper[]
    readonly repositoryId: string
    readonly kid: string
    readonly key: string
  },
  cancel: Cancel,
): Promise<OpenedDocument | null> {
  const { bytes } = open
  const what = `the wrapped keys "${open.key}"`
  const unproven = unprovenJson(bytes, what)
  const parts = splitCheck(bytes, 'sha256')
  if (parts === null || !bytesEqual(parts.check, sha256(parts.covered))) {
    throw corrupt(`Cannot read ${what}: its checksum does not fit its text`)
  }
  checkDocument(unproven, { kind: 'keys', what })
  const json = keysJson.safeParse(unproven)
  if (!json.success) throw corrupt(`Cannot read ${what}: ${json.error.issues[0]?.message ?? 'a member is missing'}`)
  const { repositoryId, kid, wraps, chunkIds } = json.data
  if (kid !== open.kid) throw corrupt(`Cannot read ${what}: it is of key "${kid}"`)
  if (repositoryId !== open.repositoryId) return null
  const context = { repositoryId, kid }
  const master = await unwrapMaster({ wraps, wrappers: open.wrappers, context }, cancel)
  if (master === null) return null
  const key = deriveKey(master, { salt: bytesOfHexExactly(chunkIds.salt, 16), label })
  const chunkIdRoot = openOnce({ key, aad: boundTo(context), what }, Buffer.from(chunkIds.sealed, 'base64'))
  return { kid, master: new Uint8Array(master), chunkIdRoot: new Uint8Array(chunkIdRoot), json: json.data }
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
  return new BackupError(`Cannot keep the keys of the repository: what "${kind}" wrapped, it does not unwrap`, {
    code: 'repository-key',
    kind: 'refused',
  })
}
