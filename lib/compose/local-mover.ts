// The mover of one machine: state in SQLite, the repository in a folder, region workers in threads.

import { availableParallelism } from 'node:os'
import { sqliteJobStore } from '../adapters/local/job-store.ts'
import { passphraseWrapper } from '../adapters/local/passphrase.ts'
import { localSecrets } from '../adapters/local/secrets.ts'
import { openState } from '../adapters/local/state.ts'
import { memoryMeter } from '../adapters/memory/meter.ts'
import { openVsphere } from '../adapters/vsphere/vsphere.ts'
import { meteredStore } from '../adapters/wrap/metered-store.ts'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { defaultAdmissionLimits } from '../model/admission.ts'
import type { AttemptResult } from '../mover/hold.ts'
import { type MoveRequest, moveJob } from '../mover/move.ts'
import { WORKER_LIMITS } from '../mover/region-worker.ts'
import type { Log } from '../ports/log.ts'
import { openRepository } from '../repository/open-repository.ts'
import type { Repository } from '../repository/repository.ts'
import type { Settings } from '../wire/settings.ts'
import { statePathOf } from './local-places.ts'
import { fittingWorkers, type MoverTask } from './mover-threads.ts'
import { openObjectStore } from './object-stores.ts'
import { openTransports, transportSettingsOf } from './transports.ts'
import { type Surroundings, vsphereSettingsOf } from './vsphere-settings.ts'

/** Hosts sample their datastores as often. */
const LATENCY_EVERY_MS = 20_000

export type LocalMover = {
  readonly settings: Settings
  readonly around: Surroundings
  /** The worker entry beside the program. */
  readonly workerEntry: URL
  /** Region workers at most; null: one a core, four at most. */
  readonly workersMax: number | null
  /** Name and version, kept with each point. */
  readonly writer: string
  readonly log: Log
}

/** @throws what moveJob() throws; BackupError when state, repository or vCenter settings are unusable */
export async function runLocalMover(request: MoveRequest, mover: LocalMover, cancel: Cancel): Promise<AttemptResult> {
  const { settings, around, log } = mover
  const { clock, random } = around
  const { vcenter } = settings
  if (vcenter === null) throw missing('COLDFRAME_VCENTER')
  using state = await openState({ path: statePathOf(settings.home), clock, random }, cancel)

  const meter = memoryMeter({ functionGb: 0 })
  const opened = await openLocalRepository(settings, around, cancel)
  const repository =
    settings.repository?.kind === 's3' ? { ...opened, store: meteredStore(opened.store, meter) } : opened
  const task: MoverTask = { store: storeOf(settings), transports: transportSettingsOf(settings, vcenter) }
  const transports = await openTransports(task.transports, around, cancel)
  const vsphere = openVsphere(await vsphereSettingsOf(vcenter, around, cancel))
  return await moveJob(
    request,
    {
      jobs: sqliteJobStore(state),
      vsphere,
      repository,
      transports,
      meter,
      openWorker: fittingWorkers(mover.workerEntry, { task, transports, store: repository.store, random }),
      settings: {
        chunkLog2: repository.settings.chunkLog2,
        workersMax: mover.workersMax ?? settings.admission.moverWorkers ?? Math.min(4, availableParallelism()),
        limits: { ...WORKER_LIMITS, uploadsMax: 2 },
        latency: { ...defaultAdmissionLimits, ...settings.admission, everyMs: LATENCY_EVERY_MS },
        taskSize: null,
        writer: mover.writer,
      },
      clock,
      random,
      log,
    },
    cancel,
  )
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
export function storeOf({ repository }: Settings): MoverTask['store'] {
  if (repository === null) throw missing('COLDFRAME_REPOSITORY')
  return repository
}

function missing(name: string): BackupError {
  return new BackupError(`Cannot start: ${name} is not set`, { code: 'settings-faulty', kind: 'usage' })
}
