// An opened repository: a store, its settings and its keys. Plain data beside the store, so that workers can be given it.

import type { ObjectStore } from '../ports/object-store.ts'
import type { RepositorySettings } from '../wire/repository/settings.ts'
import type { RepositoryKeys } from './keys.ts'

/** Everything but the store; structured clone carries it to a worker, which adds a store of its own. */
export type RepositoryData = {
  /** 32 hex digits. */
  readonly id: string
  readonly settings: RepositorySettings
  readonly keys: RepositoryKeys
}

export type Repository = RepositoryData & { readonly store: ObjectStore }

export function dataOf(repository: Repository): RepositoryData {
  return { id: repository.id, settings: repository.settings, keys: repository.keys }
}
