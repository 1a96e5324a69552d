// Creates a repository in an empty store, and opens one that is there.

import { hexOf } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { isoTime } from '../base/clock.ts'
import { BackupError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { KeyWrapper } from '../ports/keys.ts'
import type { ObjectStore } from '../ports/object-store.ts'
import type { RepositorySettings } from '../wire/repository/settings.ts'
import { openKeys, writeKeys } from './key-documents.ts'
import type { RepositoryKeys } from './keys.ts'
import { settingsKey, settingsPrefix } from './object-keys.ts'
import type { Repository } from './repository.ts'
import { findSettings, type KeysOf, refuseUnknown, sealSettings } from './settings-documents.ts'

export type OpenOptions = { readonly store: ObjectStore; readonly wrappers: readonly KeyWrapper[] }

export type CreateOptions = OpenOptions & {
  /** Draws the keys: the system's except in tests. */
  readonly random: Random
  readonly clock: Clock
  readonly settings?: { readonly chunkLog2?: number; readonly sessionMsMax?: number }
}

export const defaultChunkLog2 = 18
export const defaultSessionMsMax = 7 * 24 * 3_600_000

/**
 * Creates the repository, or opens it when another was faster: of two at once exactly one creates.
 * @throws BackupError `repository-key` without a passphrase among the wrappers; what openForWriting() throws
 */
export async function createRepository(options: CreateOptions, cancel: Cancel): Promise<Repository> {
  const { store, wrappers, random } = options
  for await (const _ of store.list(settingsPrefix, cancel)) return openForWriting(options, cancel)
  const repositoryId = hexOf(random.bytes(16))
  const key = await writeKeys({ store, wrappers, random, repositoryId }, cancel)
  const keys: RepositoryKeys = {
    repositoryId,
    kid: key.kid,
    masters: { [key.kid]: key.master },
    chunkIdRoot: key.chunkIdRoot,
  }
  const settings: RepositorySettings = {
    repositoryId,
    number: 1,
    kid: key.kid,
    createdAt: isoTime(options.clock.nowMs()),
    chunkLog2: options.settings?.chunkLog2 ?? defaultChunkLog2,
    sessionMsMax: options.settings?.sessionMsMax ?? defaultSessionMsMax,
    requiredToWrite: [],
  }
  const bytes = sealSettings(keys, settings)
  const outcome = await store.putIfAbsent({ key: settingsKey(1), bytes }, cancel)
  return outcome === 'stored' ? { store, id: repositoryId, settings, keys } : openForWriting(options, cancel)
}

/**
 * Opens what backups will be written to.
 * @throws what openRepository() throws; BackupError `repository-version` when a writer must know what this one does not
 */
export async function openForWriting(options: OpenOptions, cancel: Cancel): Promise<Repository> {
  const repository = await openRepository(options, cancel)
  refuseUnknown(repository.settings)
  return repository
}

/**
 * Opens by the highest numbered settings that are authentic.
 * @throws BackupError `repository-missing` (nothing there), `repository-key` (another passphrase or key),
 * `repository-version` (newer format or unknown required feature), `integrity` (damaged)
 */
export async function openRepository(options: OpenOptions, cancel: Cancel): Promise<Repository> {
  const { store, wrappers } = options
  const opened = new Map<string, Promise<RepositoryKeys>>()
  const keysOf: KeysOf = ({ repositoryId, kid }) => {
    const name = `${repositoryId}/${kid}`
    const keys = opened.get(name) ?? repositoryKeys({ store, wrappers, repositoryId, kid }, cancel)
    opened.set(name, keys)
    return keys
  }
  const found = await findSettings({ store, keysOf }, cancel)
  if (found === null) throw missing()
  return { store, id: found.keys.repositoryId, ...found }
}

async function repositoryKeys(
  open: OpenOptions & { readonly repositoryId: string; readonly kid: string },
  cancel: Cancel,
): Promise<RepositoryKeys> {
  const { repositoryId, kid } = open
  const opened = await openKeys(open, cancel)
  const own = opened.find((candidate) => candidate.kid === kid)
  if (own === undefined) throw otherKey(repositoryId, kid)
  const masters = Object.fromEntries(opened.map((candidate) => [candidate.kid, candidate.master]))
  return { repositoryId, kid, masters, chunkIdRoot: own.chunkIdRoot }
}

function missing(): BackupError {
  return new BackupError('Cannot open the repository: there is none at this place', {
    code: 'repository-missing',
    kind: 'not-found',
    hint: 'Check COLDFRAME_REPOSITORY; the first backup creates a repository',
  })
}

function otherKey(repositoryId: string, kid: string): BackupError {
  return new BackupError(
    `Cannot open repository "${repositoryId}": the passphrase or key is not the one it was made with`,
    {
      code: 'repository-key',
      kind: 'refused',
      hint: 'Check COLDFRAME_PASSPHRASE; without the right passphrase or key nothing in it can be read',
      facts: { repositoryId, kid },
    },
  )
}
