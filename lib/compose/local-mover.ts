// The mover of one machine: state in SQLite, the repository in a folder, region workers in threads.

import { sqliteJobStore } from '../adapters/local/job-store.ts'
import { passphraseWrapper } from '../adapters/local/passphrase.ts'
import { localSecrets } from '../adapters/local/secrets.ts'
import { openState } from '../adapters/local/state.ts'
import { memoryMeter } from '../adapters/memory/meter.ts'
import { meteredStore } from '../adapters/wrap/metered-store.ts'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { AttemptResult } from '../mover/hold.ts'
import type { MoveRequest } from '../mover/move.ts'
import { openRepository } from '../repository/open-repository.ts'
import type { Repository } from '../repository/repository.ts'
import type { Settings } from '../wire/settings.ts'
import { statePathOf } from './local-places.ts'
import { type MoverParts, type MoverProgram, runMover } from './mover.ts'
import { openObjectStore, type StoreSettings } from './object-stores.ts'
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
  if (vcenter === null) throw missing('COLDFRAME_VCENTER')
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
  if (settings.passphrase === null) throw missing('COLDFRAME_PASSPHRASE')
  const secrets = localSecrets({ references: { passphrase: settings.passphrase }, environment: around.environment })
  const passphrase = await secrets.read('passphrase', cancel)
  const store = openObjectStore(storeOf(settings), around)
  return openRepository({ store, wrappers: [passphraseWrapper({ passphrase, random: around.random })] }, cancel)
}

/** Where the repository of these settings lies. @throws BackupError `settings-faulty` */
export function storeOf({ repository }: Settings): StoreSettings {
  if (repository === null) throw missing('COLDFRAME_REPOSITORY')
  return repository
}

function missing(name: string): BackupError {
  return new BackupError(`Cannot start: ${name} is not set`, { code: 'settings-faulty', kind: 'usage' })
}
