// Builds the repository's object store from plain settings.

import { folderStore } from '../adapters/local/folder-store.ts'
import { meteredStore } from '../adapters/wrap/metered-store.ts'
import { retryingStore } from '../adapters/wrap/retrying-store.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/object-store.ts'
import type { RepositoryPlace } from '../wire/repository-place.ts'
import { openBucket } from './bucket-store.ts'
import type { Surroundings } from './vsphere-settings.ts'

/** Plain data: structured clone carries it to a thread. Credentials are not in it: each thread finds its own. */
export type StoreSettings = RepositoryPlace

/** @param meter counts requests to a bucket; those to a folder cost nothing */
export function openObjectStore(
  settings: StoreSettings,
  around: Surroundings,
  meter: Pick<Meter, 'add'> | null = null,
): ObjectStore {
  if (settings.kind === 's3') {
    const bucket = openBucket(settings, around)
    return meter === null ? bucket : meteredStore(bucket, meter)
  }
  const { clock, random } = around
  const patience = { attemptsMax: 4, firstMs: 100, mostMs: 2_000 }
  return retryingStore(folderStore({ path: settings.folder }), { ...patience, clock, random })
}
