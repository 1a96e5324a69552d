// The script bundles that policies pin, compared with what is stored beside the repository.

import { createHash } from 'node:crypto'
import { forEachBounded } from '../base/concurrency.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { PolicyName } from '../model/ids.ts'
import type { Policy, ScriptSet } from '../model/policy.ts'
import type { ObjectStore } from '../ports/object-store.ts'

export type PinnedScript = {
  readonly bundle: string
  readonly sha256: string
  readonly policies: readonly PolicyName[]
}

export type ScriptFault = PinnedScript & {
  readonly code: 'script-missing' | 'script-changed'
  /** One sentence. */
  readonly message: string
}

const READS_MAX = 4

/** Every bundle with every digest that policies pin it by. */
export function pinnedScripts(policies: readonly Policy[]): readonly PinnedScript[] {
  const pinned = new Map<string, { bundle: string; sha256: string; policies: PolicyName[] }>()
  for (const policy of policies) {
    for (const { bundle, sha256 } of bundlesOf(policy)) {
      const key = `${bundle} ${sha256}`
      const known = pinned.get(key) ?? { bundle, sha256, policies: [] }
      if (!known.policies.includes(policy.name)) known.policies.push(policy.name)
      pinned.set(key, known)
    }
  }
  return [...pinned.values()]
}

/** @returns each pin that no stored bundle fulfils */
export async function findScriptFaults(
  policies: readonly Policy[],
  store: ObjectStore,
  cancel: Cancel,
): Promise<readonly ScriptFault[]> {
  const found = new Map<string, string | null>()
  const pinned = pinnedScripts(policies)
  const bundles = [...new Set(pinned.map(({ bundle }) => bundle))]
  await forEachBounded(
    bundles,
    async (bundle, within) => {
      const bytes = await store.get(bundle, within)
      found.set(bundle, bytes === null ? null : createHash('sha256').update(bytes).digest('hex'))
    },
    { runningMax: READS_MAX, ...cancel },
  )
  return pinned.flatMap((pin): readonly ScriptFault[] => {
    const digest = found.get(pin.bundle) ?? null
    const of = pin.policies.map((name) => `"${name}"`).join(', ')
    if (digest === null) {
      return [
        { ...pin, code: 'script-missing', message: `Script bundle "${pin.bundle}" of policy ${of} is not stored` },
      ]
    }
    if (digest === pin.sha256) return []
    const message = `Script bundle "${pin.bundle}" has the SHA-256 "${digest}", policy ${of} pins "${pin.sha256}"`
    return [{ ...pin, code: 'script-changed', message }]
  })
}

function bundlesOf({ scripts, guest }: Policy) {
  const sets = [scripts, ...guest.overrides].flatMap(({ linux, windows }) => [linux, windows])
  return sets.flatMap((set: ScriptSet | undefined) =>
    [set?.preFreeze, set?.postThaw, set?.postCommit].filter((bundle) => bundle !== undefined),
  )
}
