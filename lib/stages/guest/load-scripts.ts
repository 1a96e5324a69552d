// The scripts that a policy names for a guest, read from the object store and compared with the digests that the policy pins.

import { createHash } from 'node:crypto'
import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { GuestFamily, ScriptStage } from '../../model/guest.ts'
import type { Policy, ScriptBundle } from '../../model/policy.ts'
import type { ObjectStore } from '../../ports/object-store.ts'
import type { LoadedScript } from './wrapper.ts'

/** It is held in memory here and in memory-backed storage in the guest. */
export const BUNDLE_BYTES_MAX = 64 * 1024 * 1024

/** The scripts that the policy has for guests of this family. */
export function scriptsFor(
  policy: Pick<Policy, 'scripts'>,
  family: GuestFamily,
): readonly (readonly [ScriptStage, ScriptBundle])[] {
  const { preFreeze, postThaw, postCommit } = policy.scripts[family]
  const named: readonly (readonly [ScriptStage, ScriptBundle | undefined])[] = [
    ['pre-freeze', preFreeze],
    ['post-thaw', postThaw],
    ['post-commit', postCommit],
  ]
  return named.flatMap(([stage, bundle]) => (bundle === undefined ? [] : [[stage, bundle] as const]))
}

/** @throws BackupError `script-missing`, `script-changed` (the digest is another one), `script-large` */
export async function loadScripts(
  request: { readonly store: ObjectStore; readonly policy: Pick<Policy, 'scripts'>; readonly family: GuestFamily },
  cancel: Cancel,
): Promise<readonly LoadedScript[]> {
  const loaded: LoadedScript[] = []
  for (const [stage, bundle] of scriptsFor(request.policy, request.family)) {
    const bytes = await readBundle(request.store, bundle, cancel)
    const { sha256, entry, timeoutMs, successCodes } = bundle
    const fileName = bundle.bundle.split('/').at(-1) ?? ''
    loaded.push({ stage, fileName, bytes, sha256, entry, timeoutMs, successCodes })
  }
  return loaded
}

async function readBundle(store: ObjectStore, { bundle, sha256 }: ScriptBundle, cancel: Cancel): Promise<Uint8Array> {
  const facts = await store.head(bundle, cancel)
  if (facts !== null && facts.sizeBytes > BUNDLE_BYTES_MAX) {
    throw new BackupError(
      `Cannot use script bundle "${bundle}": it has ${facts.sizeBytes} bytes, at most ${BUNDLE_BYTES_MAX} are injected`,
      {
        code: 'script-large',
        hint: 'Keep large programs in the guest and let the bundle call them',
        facts: { bundle },
      },
    )
  }
  const bytes = facts === null ? null : await store.get(bundle, cancel)
  if (bytes === null) {
    throw new BackupError(`Cannot find script bundle "${bundle}" beside the repository`, {
      code: 'script-missing',
      hint: `Store it with "coldframe script FILE --as ${bundle}"`,
      facts: { bundle },
    })
  }
  const found = createHash('sha256').update(bytes).digest('hex')
  if (found === sha256) return bytes
  throw new BackupError(
    `Cannot use script bundle "${bundle}": its SHA-256 is "${found}", the policy pins "${sha256}"`,
    {
      code: 'script-changed',
      kind: 'refused',
      hint: 'If the change is yours, put the new digest into the policy; if not, find out who wrote it',
      facts: { bundle, found, pinned: sha256 },
    },
  )
}
