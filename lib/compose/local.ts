// The embedded default: everything that an engine or a command of one machine acts through, built from settings.

import { availableParallelism } from 'node:os'
import { guestNetwork } from '../adapters/guest/network.ts'
import { takeEngineLock } from '../adapters/local/engine-lock.ts'
import { lineEvents } from '../adapters/local/events.ts'
import { sqliteJobStore } from '../adapters/local/job-store.ts'
import { knownRepositories } from '../adapters/local/known-repositories.ts'
import { fileLines, lineLog, logMetrics } from '../adapters/local/log.ts'
import { lineNotifier } from '../adapters/local/notifier.ts'
import { resetReceipts, sqliteQueue } from '../adapters/local/queue.ts'
import { localSecrets } from '../adapters/local/secrets.ts'
import { openState, type State } from '../adapters/local/state.ts'
import { type ChildTasks, childTasks } from '../adapters/local/tasks.ts'
import { memoryMeter } from '../adapters/memory/meter.ts'
import { openVsphere } from '../adapters/vsphere/vsphere.ts'
import { hexOf } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { BackupError, hasCode } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { defaultAdmissionLimits } from '../model/admission.ts'
import { DEFAULT_PRICES } from '../model/prices.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { Log } from '../ports/log.ts'
import type { MessageQueue } from '../ports/queue.ts'
import { createRepository, openForWriting } from '../repository/open-repository.ts'
import type { Repository } from '../repository/repository.ts'
import { defaultStageLimits, type StageDeps, type StageLimits } from '../stages/deps.ts'
import { parseGuestCredentials } from '../wire/guest-credentials.ts'
import { placeName } from '../wire/repository-place.ts'
import { type Settings, settingsVariables } from '../wire/settings.ts'
import { claimsOf, defaultEngineLimits, type EngineParts } from './engine.ts'
import {
  codeCacheOf,
  engineLogOf,
  eventLogOf,
  knownRepositoriesOf,
  lockPathOf,
  moverLogFolderOf,
  statePathOf,
} from './local-places.ts'
import { openObjectStore } from './object-stores.ts'
import { passphraseKey } from './passphrase-key.ts'
import { programPath } from './programs.ts'
import { proveConditions } from './prove-conditions.ts'
import { unset } from './unset.ts'
import { type Surroundings, vsphereSettingsOf } from './vsphere-settings.ts'

/** A message that failed this often ends in abandon. */
const RECEIVES_MAX = 5

/** Messages handled side by side: they wait for the network more than they compute. */
const HANDLED_MAX = 4

/** While one mover starts or waits for the network, another can use the processors; each has a worker a core. */
const MOVERS_MAX = Math.min(8, availableParallelism() + 1)

/** One machine asks itself: looking again costs nothing, and a lost message is soon seen. */
export const localStageLimits: StageLimits = {
  ...defaultStageLimits,
  moversMax: MOVERS_MAX,
  // What a mover of this machine starts at most: see local-mover.ts.
  admission: { ...defaultAdmissionLimits, moverWorkers: Math.min(4, availableParallelism()) },
  overdueMs: 5_000,
  pollMs: 250,
  againFirstMs: 500,
  againMostMs: 5_000,
  cleanupMs: 30_000,
}

/** State and queues of a home, without an engine. */
export type LocalState = Disposable & {
  readonly state: State
  readonly jobStore: JobStore
  readonly queue: MessageQueue
  readonly log: Log
}

/** @throws what openState() throws */
export async function openLocalState(home: string, around: Surroundings, cancel: Cancel): Promise<LocalState> {
  const { clock, random } = around
  const state = await openState({ path: statePathOf(home), clock, random }, cancel)
  const log = lineLog(fileLines(engineLogOf(home)), { clock })
  return {
    state,
    jobStore: sqliteJobStore(state),
    queue: sqliteQueue(state, { clock, receivesMax: RECEIVES_MAX, log }),
    log,
    [Symbol.dispose]: () => state[Symbol.dispose](),
  }
}

/**
 * Opens the repository that the settings name; creates it when there is none at its place and this home never used one there.
 * @throws BackupError `repository-missing` where there was one
 */
export async function createLocalRepository(
  settings: Settings,
  around: Surroundings,
  cancel: Cancel,
): Promise<Repository> {
  const { repository, passphrase } = settings
  if (repository === null || passphrase === null) throw unset('COLDFRAME_REPOSITORY or its passphrase')
  const { clock, random } = around
  const wrapper = await passphraseKey(passphrase, around, cancel)
  const options = { store: openObjectStore(repository, around), wrappers: [wrapper], clock, random }
  const known = knownRepositories(knownRepositoriesOf(settings.home))
  const place = placeName(repository)
  const before = known.find(place)
  if (before !== null) {
    return await openForWriting(options, cancel).catch((error: unknown) => {
      throw hasCode(error, 'repository-missing') ? goneFrom(place, before) : error
    })
  }
  if (repository.kind === 's3') await proveConditions(options.store, random, cancel)
  const opened = await createRepository(options, cancel)
  known.remember(place, opened.id)
  return opened
}

function goneFrom(place: string, { file, repositoryId }: { readonly file: string; readonly repositoryId: string }) {
  return new BackupError(`Cannot open repository "${repositoryId}": there is nothing at "${place}" where it was`, {
    code: 'repository-missing',
    kind: 'not-found',
    hint: `Mount or bring back what was there; to begin a new repository there, remove "${file}"`,
    facts: { repositoryId, place },
  })
}

export type LocalEngine = AsyncDisposable & {
  readonly parts: EngineParts
  readonly tasks: ChildTasks
  /** From now on nothing new is begun. */
  endSoon(): void
  /** How many unfinished jobs may have a snapshot of ours. */
  snapshotHolders(cancel: Cancel): Promise<number>
}

export type LocalEngineOptions = {
  readonly settings: Settings
  readonly around: Surroundings
  readonly local: LocalState
  readonly repository: Repository
}

/**
 * Takes the engine lock of the home and builds the engine. Disposing stops its movers and gives the lock back.
 * @returns null while another process is the engine
 */
export async function openLocalEngine(options: LocalEngineOptions, cancel: Cancel): Promise<LocalEngine | null> {
  const { settings, around, local, repository } = options
  const { home, vcenter } = settings
  if (vcenter === null) throw unset('COLDFRAME_VCENTER')
  const { clock, random, environment } = around
  const vsphere = openVsphere(await vsphereSettingsOf(vcenter, around, cancel))
  const lock = takeEngineLock(lockPathOf(home))
  if (lock === null) return null

  try {
    resetReceipts(local.state, clock)
    const engineId = `engine-${hexOf(random.bytes(8))}`
    const log = local.log.with({ engine: engineId })
    const tasks = childTasks(local.state, {
      command: { file: process.execPath, args: [programPath('task')] },
      // Kept code halves the time that a mover and its threads take to start.
      environment: { NODE_COMPILE_CACHE: codeCacheOf(home), ...environment, ...settingsVariables(settings) },
      logFolder: moverLogFolderOf(home),
      runningMax: MOVERS_MAX,
      stopMs: 10_000,
      log,
    })
    const secrets = localSecrets({ references: {}, environment, folder: settings.secretsFolder })
    const deps: StageDeps = {
      clock,
      log,
      metrics: logMetrics(log),
      ...ownMachine(),
      ...localTellers(home, clock),
      jobStore: local.jobStore,
      sender: local.queue,
      vsphere,
      tasks,
      random,
      guests: guestNetwork(),
      guestAccount: async (name, within) => parseGuestCredentials(await secrets.read(name, within), name),
      repository: async () => repository,
      limits: {
        ...localStageLimits,
        admission: { ...localStageLimits.admission, ...settings.admission },
      },
      moverVm: settings.vddk.moverVm,
      isClaimLive: claimsOf(engineId),
    }
    log.info('engine.started', { home })
    let ending = false
    return {
      parts: {
        deps,
        queue: local.queue,
        engineId,
        runningMax: HANDLED_MAX,
        limits: defaultEngineLimits,
        isEnding: () => ending,
      },
      tasks,
      endSoon: () => {
        ending = true
      },
      snapshotHolders: (within) => countSnapshotHolders(local.jobStore, within),
      async [Symbol.asyncDispose]() {
        await tasks[Symbol.asyncDispose]()
        lock[Symbol.dispose]()
      },
    }
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

/** Who is told of what happens here: lines of one file, events and words for people. */
export function localTellers(home: string, clock: Clock): Pick<StageDeps, 'events' | 'notifier'> {
  const lines = fileLines(eventLogOf(home))
  return { events: lineEvents(lines), notifier: lineNotifier(lines, { clock }) }
}

/** What stages do here costs nothing that could be counted. */
function ownMachine(): Pick<StageDeps, 'meter' | 'prices'> {
  return { meter: memoryMeter({ functionGb: 0 }), prices: DEFAULT_PRICES }
}

async function countSnapshotHolders(jobStore: JobStore, cancel: Cancel): Promise<number> {
  const open = await jobStore.dueJobs({ beforeMs: Number.MAX_SAFE_INTEGER, limit: 1_000 }, cancel)
  return open.filter(({ value }) => value.owes.some(({ kind }) => kind === 'snapshot')).length
}
