// The mover of one machine: state in SQLite, the repository in a folder, region workers in threads.

import { sqliteJobStore } from '../adapters/local/job-store.ts'
import { openState } from '../adapters/local/state.ts'
import { memoryMeter } from '../adapters/memory/meter.ts'
import { meteredStore } from '../adapters/wrap/metered-store.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { AttemptResult } from '../mover/hold.ts'
import type { MoveRequest } from '../mover/move.ts'
import { openRepository } from '../repository/open-repository.ts'
import type { Repository } from '../repository/repository.ts'
import type { Settings } from '../wire/settings.ts'
import { statePathOf } from './local-places.ts'
import { type MoverParts, type MoverProgram, runMover } from './mover.ts'
import { openObjectStore, type StoreSettings } from './object-stores.ts'
import { passphraseKey } from './passphrase-key.ts'
import { unset } from './unset.ts'
import type { Surroundings } from './vsphere-settings.ts'

/** @throws what runMover() throws; BackupError when state or repository are unusable */
export async function runLocalMover(
  request: MoveRequest,
  { settings, program }: { readonly settings: Settings; readonly program: MoverProgram },
  cancel: Cancel,
): Promise<AttemptResult> {
  const { around } = program
  const { clock, random } = around
  const { vcenter, vddk, admission } = settings
  if (vcenter === null) throw unset('COLDFRAME_VCENTER')
  using state = await openState({ path: statePathOf(settings.home), clock, random }, cancel)

  const meter = memoryMeter({ functionGb: 0 })
  const opened = await openLocalRepository(settings, around, cancel)
  const repository =
    settings.repository?.kind === 's3' ? { ...opened, store: meteredStore(opened.store, meter) } : opened
  const parts: MoverParts = {
    ...{ repository, vcenter, vddk, admission, meter },
    jobs: sqliteJobStore(state),
    store: storeOf(settings),
    taskSize: null,
  }
  return await runMover(request, { parts, program }, cancel)
}

/** Opens the repository that the settings name, by their passphrase. */
export async function openLocalRepository(
  settings: Settings,
  around: Surroundings,
  cancel: Cancel,
): Promise<Repository> {
  if (settings.passphrase === null) throw unset('COLDFRAME_PASSPHRASE')
  const wrapper = await passphraseKey(settings.passphrase, around, cancel)
  return openRepository({ store: openObjectStore(storeOf(settings), around), wrappers: [wrapper] }, cancel)
}

/** Where the repository of these settings lies. @throws BackupError `settings-faulty` */
export function storeOf({ repository }: Settings): StoreSettings {
  if (repository === null) throw unset('COLDFRAME_REPOSITORY')
  return repository
}
