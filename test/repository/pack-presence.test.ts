// missingPacks(): few packs are asked for one by one, many are looked up in a listing; both tell the same.

import { expect, it } from 'vitest'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { hexOf } from '../../lib/base/bytes.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { parsePackId } from '../../lib/model/ids.ts'
import { packKey } from '../../lib/repository/object-keys.ts'
import { missingPacks } from '../../lib/repository/pack-presence.ts'
import type { PackRef } from '../../lib/wire/repository/record-ref.ts'
import { cancel, testRepository } from './kit.ts'

it.each([0, 3, 1_025])('tells which of %i packs are missing, of either kind', async (count) => {
  const store = memoryObjectStore({ clock: manualClock() })
  const random = seededRandom(3)
  const repository = await testRepository(store)
  const packs = Array.from({ length: count }, (_, i): PackRef => {
    return { packId: parsePackId(hexOf(random.bytes(16))), kid: '00'.repeat(8), kind: i % 2 === 0 ? 'data' : 'meta' }
  })
  for (const pack of packs) await store.putIfAbsent({ key: packKey(pack), bytes: new Uint8Array(1) }, cancel)
  expect(await missingPacks({ repository, packs }, cancel)).toEqual([])
  const gone = packs.slice(1, 3)
  for (const pack of gone) store.objects.delete(packKey(pack))
  expect(await missingPacks({ repository, packs }, cancel)).toEqual(gone)
})
