// A temporary folder with a state file in it, for tests.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openState, type State } from '../../lib/adapters/local/state.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'

export type TemporaryFolder = AsyncDisposable & { readonly path: string }

export async function temporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'coldframe-test-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

export function openStateAt(path: string): Promise<State> {
  return openState({ path, clock: systemClock, random: seededRandom(1) }, { signal: new AbortController().signal })
}

export async function temporaryState(): Promise<AsyncDisposable & { readonly state: State; readonly folder: string }> {
  const folder = await temporaryFolder()
  const state = await openStateAt(join(folder.path, 'state.db'))
  return {
    state,
    folder: folder.path,
    async [Symbol.asyncDispose]() {
      state[Symbol.dispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}
