// Builds the repository's object store from plain settings.

import { folderStore } from '../adapters/local/folder-store.ts'
import { retryingStore } from '../adapters/wrap/retrying-store.ts'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { ObjectStore } from '../ports/object-store.ts'

/** Plain data: structured clone carries it to a thread. */
export type StoreSettings = { readonly kind: 'folder'; readonly folder: string }

export function openObjectStore(
  settings: StoreSettings,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): ObjectStore {
  const patience = { attemptsMax: 4, firstMs: 100, mostMs: 2_000 }
  return retryingStore(folderStore({ path: settings.folder }), { ...patience, clock, random })
}
