// What the demo does in its guests: two scripts that stop and resume a guest's writing, stored and pinned as a user would.

import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The simulator's own account in its guests; it is no secret, see sim/estate/demo.ts. */
export const GUEST_SECRET = JSON.stringify({ user: 'backup', password: 'only-for-the-demo' })

const SCRIPTS = {
  'freeze.sh': `#!/bin/sh
# Before the snapshot: the guest writes one last record, which says that it stands still, and then nothing.
echo "freeze $COLDFRAME_FREEZE of $COLDFRAME_VM, wanted: $COLDFRAME_GRADE"
guest-writes hold
`,
  'thaw.sh': `#!/bin/sh
# Right after the snapshot, by whichever net comes first.
guest-writes resume
`,
} as const

export type StoredScript = { readonly key: string; readonly sha256: string }

/** Writes both scripts into the folder, and has each stored. */
export async function storeScripts(
  folder: string,
  store: (file: string) => Promise<StoredScript>,
): Promise<{ readonly freeze: StoredScript; readonly thaw: StoredScript }> {
  for (const [name, text] of Object.entries(SCRIPTS)) await writeFile(join(folder, name), text)
  return { freeze: await store(join(folder, 'freeze.sh')), thaw: await store(join(folder, 'thaw.sh')) }
}

export function policyText({ freeze, thaw }: Awaited<ReturnType<typeof storeScripts>>): string {
  return `# What the demo protects, and how. docs/GUESTS.md explains the parts about guests
name: demo
select: {any: [{name: "*"}]}
consistency: {want: application, require: crash}
guest: {mode: try, order: [vix], credentials: demo-guests}
scripts:
  freezeLimit: 30s
  linux:
    preFreeze: {bundle: ${freeze.key}, sha256: "${freeze.sha256}", entry: freeze.sh, timeout: 20s}
    postThaw: {bundle: ${thaw.key}, sha256: "${thaw.sha256}", entry: thaw.sh, timeout: 20s}
transport: [datastore]
`
}

/** The insides of the guests, in memory where there is such a place; removed in the end. */
export async function guestPlace(): Promise<AsyncDisposable & { readonly folder: string }> {
  const folder = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'coldframe-demo-'))
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}
