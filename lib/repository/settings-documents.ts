// The repository's settings (repo/<n>.json): the highest numbered document that is authentic counts; others are passed by.

import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { ObjectStore } from '../ports/object-store.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { type RepositorySettings, settingsClaim, settingsJson } from '../wire/repository/settings.ts'
import { checkDocument, checkMac, sealJson, unprovenJson } from './authentic-json.ts'
import { masterOf, type RepositoryKeys } from './keys.ts'
import { numberOf, settingsKey, settingsPrefix } from './object-keys.ts'
import type { Repository } from './repository.ts'

/** Gives the keys of the repository that unproven settings name. @throws BackupError `repository-key` among others */
export type KeysOf = (claim: { readonly repositoryId: string; readonly kid: string }) => Promise<RepositoryKeys>

export type FoundSettings = { readonly settings: RepositorySettings; readonly keys: RepositoryKeys }

/** What anybody can bring about by an object of his own; told only when nothing better is found, the first before the others. */
const passedBy = ['repository-version', 'repository-key', 'integrity']

export function sealSettings(keys: RepositoryKeys, settings: RepositorySettings): Uint8Array {
  return sealJson(keys, { kid: settings.kid, value: { document: 'settings', ...settings } })
}

/**
 * @returns null when there is no settings object at all
 * @throws BackupError `repository-version` when authentic settings need a newer program; when none is authentic the most
 * telling fault; what `keysOf` and the store throw
 */
export async function findSettings(
  find: { readonly store: ObjectStore; readonly keysOf: KeysOf },
  cancel: Cancel,
): Promise<FoundSettings | null> {
  const { store, keysOf } = find
  const faults: BackupError[] = []
  const pass = (error: unknown, codes: readonly string[]): null => {
    if (!(error instanceof BackupError) || !codes.includes(error.code)) throw error
    faults.push(error)
    return null
  }
  for (const number of await settingsNumbers(store, cancel)) {
    const what = `the repository's settings "${settingsKey(number)}"`
    const bytes = await store.get(settingsKey(number), cancel)
    const document = { bytes: bytes ?? new Uint8Array(), number, what }
    const keys = await proveSettings(document, keysOf).catch((error: unknown) => pass(error, passedBy))
    if (keys === null) continue
    try {
      return { settings: readSettings(document), keys }
    } catch (error) {
      pass(error, ['integrity'])
    }
  }
  const telling = passedBy.flatMap((code) => faults.filter((fault) => fault.code === code))[0]
  if (telling !== undefined) throw telling
  return null
}

/**
 * Looks at the settings as they are now. Newer ones under a key that this program did not open are passed by: whoever shuts
 * writers out does it under the key they know.
 * @throws BackupError `repository-version` when a writer must know what this one does not
 */
export async function checkMayWrite(repository: Repository, cancel: Cancel): Promise<void> {
  const { store, keys, id } = repository
  const keysOf: KeysOf = async ({ repositoryId, kid }) => {
    if (repositoryId !== id) throw corrupt(`Cannot trust settings of repository "${repositoryId}": this is "${id}"`)
    masterOf(keys, kid)
    return keys
  }
  const found = await findSettings({ store, keysOf }, cancel)
  if (found === null) throw corrupt(`Cannot write to repository "${id}": its settings are gone`)
  refuseUnknown(found.settings)
}

/** @throws BackupError `repository-version` */
export function refuseUnknown({ requiredToWrite, repositoryId }: RepositorySettings): void {
  const unknown = requiredToWrite[0]
  if (unknown === undefined) return
  throw new BackupError(`Cannot write to repository "${repositoryId}": a writer must know "${unknown}"`, {
    code: 'repository-version',
    kind: 'refused',
    hint: 'Use a newer version of Coldframe for backups; this one can still restore',
    facts: { requiredToWrite },
  })
}

type Document = { readonly bytes: Uint8Array; readonly number: number; readonly what: string }

async function proveSettings({ bytes, what }: Document, keysOf: KeysOf): Promise<RepositoryKeys> {
  const claim = settingsClaim.safeParse(unprovenJson(bytes, what))
  if (!claim.success) throw corrupt(`Cannot read ${what}: it names no repository and key`)
  const keys = await keysOf(claim.data)
  checkMac(keys, { kid: claim.data.kid, bytes, what })
  return keys
}

/** Of authentic settings. */
function readSettings({ bytes, number, what }: Document): RepositorySettings {
  const json = unprovenJson(bytes, what)
  const named = settingsClaim.parse(json)
  if (named.number !== number) throw corrupt(`Cannot trust ${what}: it was written as number "${named.number}"`)
  checkDocument(json, { kind: 'settings', what })
  const parsed = settingsJson.safeParse(json)
  if (parsed.success) return parsed.data
  throw corrupt(`Cannot read ${what}: ${parsed.error.issues[0]?.message ?? 'a member is missing'}`)
}

/** Descending. */
async function settingsNumbers(store: ObjectStore, cancel: Cancel): Promise<readonly number[]> {
  const numbers: number[] = []
  for await (const { key } of store.list(settingsPrefix, cancel)) {
    const number = numberOf(key, settingsPrefix)
    if (number !== null) numbers.push(number)
  }
  return numbers.toSorted((left, right) => right - left)
}
