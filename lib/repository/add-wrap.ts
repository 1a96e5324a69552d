// Adds a way to open a repository that is there: each of its keys is written again under a higher number, with every wrap that it
// has and the new one. What was written before stays and opens as before.

import { bytesEqual } from '../base/bytes.ts'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { KeyWrapper } from '../ports/keys.ts'
import type { KeysJson } from '../wire/repository/settings.ts'
import { encodeKeys, listKeyDocuments, type OpenedDocument, openDocument, provenWrap } from './key-documents.ts'
import { keysPrefix } from './object-keys.ts'
import type { Repository } from './repository.ts'

export type AddWrap = {
  readonly repository: Repository
  /** Opens the repository without a key service: a document that it does not open is passed by. */
  readonly own: KeyWrapper
  readonly added: KeyWrapper
}

/** Names that others may have taken since the documents were listed. */
const TRIES_MAX = 100

/**
 * @returns 'there' when every key has such a wrap that opens already
 * @throws BackupError `repository-key` when the new wrap does not open, or a key does not open by `own`; what the wrapper throws
 */
export async function addWrap(add: AddWrap, cancel: Cancel): Promise<'added' | 'there'> {
  let outcome: 'added' | 'there' = 'there'
  for (const kid of Object.keys(add.repository.keys.masters)) {
    if ((await addToKey(add, kid, cancel)) === 'added') outcome = 'added'
  }
  return outcome
}

async function addToKey({ repository, own, added }: AddWrap, kid: string, cancel: Cancel): Promise<'added' | 'there'> {
  const { store, id: repositoryId } = repository
  const opened = await highestOf({ repository, own, kid }, cancel)
  const context = { repositoryId, kid }
  if (await hasWrap(opened, added, cancel)) return 'there'
  const wrap = await provenWrap(added, { master: opened.master, context }, cancel)
  const { wraps, chunkIds } = opened.json
  const bytes = encodeKeys({ repositoryId, kid, wraps: [...wraps, wrap], chunkIds })
  // The highest number that opens counts: any one above this is right.
  for (let number = opened.number + 1; number <= opened.number + TRIES_MAX; number++) {
    const outcome = await store.putIfAbsent({ key: `${keysPrefix(kid)}${number}.json`, bytes }, cancel)
    if (outcome === 'stored') return 'added'
  }
  throw unusable(`Cannot add a key to repository "${repositoryId}": others take every number of its keys "${kid}"`)
}

type Found = OpenedDocument & { readonly number: number }

async function highestOf(
  find: { readonly repository: Repository; readonly own: KeyWrapper; readonly kid: string },
  cancel: Cancel,
): Promise<Found> {
  const { store, id: repositoryId, keys } = find.repository
  for (const { kid, number, key } of await listKeyDocuments(store, cancel)) {
    if (kid !== find.kid) continue
    const bytes = (await store.get(key, cancel)) ?? new Uint8Array()
    const opening = openDocument({ bytes, wrappers: [find.own], repositoryId, kid, key }, cancel)
    const document = await opening.catch((error: unknown) => {
      // Damaged, newer or of no form: anybody can put it there.
      if (error instanceof BackupError && ['integrity', 'repository-version'].includes(error.code)) return null
      throw error
    })
    const master = keys.masters[kid]
    if (document === null || master === undefined || !bytesEqual(document.master, master)) continue
    return { ...document, number }
  }
  throw unusable(
    `Cannot add a key to repository "${repositoryId}": "${find.own.kind}" does not open its keys "${find.kid}"`,
  )
}

async function hasWrap({ json, master }: Found, wrapper: KeyWrapper, cancel: Cancel): Promise<boolean> {
  const context = { repositoryId: json.repositoryId, kid: json.kid }
  for (const wrap of wrapsOf(json, wrapper.kind)) {
    const key = await wrapper.unwrap(Buffer.from(wrap.blob, 'base64'), context, cancel)
    if (key !== null && bytesEqual(key, master)) return true
  }
  return false
}

function wrapsOf({ wraps }: KeysJson, kind: string): KeysJson['wraps'] {
  return wraps.filter((wrap) => wrap.kind === kind)
}

function unusable(message: string): BackupError {
  return new BackupError(message, {
    code: 'repository-key',
    kind: 'refused',
    hint: 'Check COLDFRAME_PASSPHRASE, and who may write below "keys/" of the repository',
  })
}
