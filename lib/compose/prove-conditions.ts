// Proves that a store keeps what was stored first: some that speak as S3 does take the condition of a put and pay no heed to it.

import { bytesEqual, hexOf, utf8Encode } from '../base/bytes.ts'
import { BackupError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { ObjectStore } from '../ports/object-store.ts'

/**
 * Leaves one small working paper, which expires.
 * @throws BackupError `s3-not-supported` (kind refused); what the store throws
 */
export async function proveConditions(store: ObjectStore, random: Random, cancel: Cancel): Promise<void> {
  const key = `s/proof-${hexOf(random.bytes(16))}/condition`
  const first = utf8Encode('first')
  const outcomes = [
    await store.putIfAbsent({ key, bytes: first }, cancel),
    await store.putIfAbsent({ key, bytes: utf8Encode('other') }, cancel),
  ]
  const there = await store.get(key, cancel)
  if (outcomes.join() === 'stored,exists' && there !== null && bytesEqual(there, first)) return
  throw new BackupError(
    'Cannot keep a repository there: the store puts objects over objects although it is told not to',
    {
      code: 's3-not-supported',
      kind: 'refused',
      hint: 'Use Amazon S3, or a store that obeys "If-None-Match: *"',
    },
  )
}
