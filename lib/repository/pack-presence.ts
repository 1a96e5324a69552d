// Looks whether packs are there, without reading them: few are asked for by name, many are found in a listing.

import { forEachBounded } from '../base/concurrency.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { PackRef } from '../wire/repository/record-ref.ts'
import { packKey } from './object-keys.ts'
import type { Repository } from './repository.ts'

/** Asking for so many by name costs about as much as listing a large repository. */
const askedMax = 1_024
const askedAtOnce = 16

/**
 * One HEAD a pack up to 1,024 packs; above that one listing of `p/` and `m/`, which ends when all were seen.
 * @returns those that the store says it does not have, in the order of `packs`
 */
export async function missingPacks(
  look: { readonly repository: Repository; readonly packs: readonly PackRef[] },
  cancel: Cancel,
): Promise<readonly PackRef[]> {
  const { packs } = look
  const missing = packs.length <= askedMax ? await askFor(look, cancel) : await lookThrough(look, cancel)
  return packs.filter((pack) => missing.has(packKey(pack)))
}

type Look = Parameters<typeof missingPacks>[0]

async function askFor({ repository, packs }: Look, cancel: Cancel): Promise<ReadonlySet<string>> {
  const missing = new Set<string>()
  const ask = async (pack: PackRef, within: Cancel) => {
    const key = packKey(pack)
    if ((await repository.store.head(key, within)) === null) missing.add(key)
  }
  await forEachBounded(packs, ask, { runningMax: askedAtOnce, signal: cancel.signal })
  return missing
}

async function lookThrough({ repository, packs }: Look, cancel: Cancel): Promise<ReadonlySet<string>> {
  const missing = new Set(packs.map(packKey))
  for (const prefix of ['p/', 'm/']) {
    if (missing.size === 0) break
    for await (const { key } of repository.store.list(prefix, cancel)) {
      missing.delete(key)
      if (missing.size === 0) break
    }
  }
  return missing
}
