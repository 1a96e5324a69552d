// What the commands act through, opened from settings: state, repository, the engine of this machine. The only file here
// that knows how they are composed.

import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { BackupError } from '../lib/base/errors.ts'
import type { Cancel } from '../lib/base/time-limit.ts'
import { createLocalRepository, type LocalState, openLocalEngine, openLocalState } from '../lib/compose/local.ts'
import { openLocalRepository } from '../lib/compose/local-mover.ts'
import { statePathOf } from '../lib/compose/local-places.ts'
import { openObjectStore } from '../lib/compose/object-stores.ts'
import { threadReaders } from '../lib/compose/restore-threads.ts'
import { siblingEntry } from '../lib/compose/sibling-entry.ts'
import { workUntil } from '../lib/compose/work-until.ts'
import type { JobStore } from '../lib/ports/job-store.ts'
import type { ObjectStore } from '../lib/ports/object-store.ts'
import type { Repository } from '../lib/repository/repository.ts'
import type { RangeReaders } from '../lib/restore/restore-disk.ts'
import { parseEngineChoice } from '../lib/wire/api/client-settings.ts'
import type { Settings } from '../lib/wire/settings.ts'
import { readSettings } from './settings.ts'
import type { World } from './world.ts'

/**
 * Opens the state of a home; makes it when there is none.
 * @throws BackupError `engine-elsewhere` (refused) where the engine is not this machine's
 */
export async function openHome(settings: Settings, world: World): Promise<LocalState> {
  refuseElsewhere(world)
  return openLocalState(settings.home, world, world)
}

/** @returns null when nothing was ever backed up from this home */
export async function openHomeIfThere(settings: Settings, world: World): Promise<LocalState | null> {
  refuseElsewhere(world)
  return existsSync(statePathOf(settings.home)) ? openHome(settings, world) : null
}

/** Whether the engine is a stack's on AWS. */
export function isElsewhere({ environment }: World): boolean {
  return parseEngineChoice(environment).kind === 'aws'
}

/** Whether only the engine can reach the repository: nothing says here where it is. */
export async function isRepositoryElsewhere(world: World): Promise<boolean> {
  return isElsewhere(world) && (await readSettings(world, [])).repository === null
}

/** What an engine on AWS does by itself, or keeps to itself, is not done to the state of this machine instead. */
function refuseElsewhere(world: World): void {
  if (!isElsewhere(world)) return
  const engine = world.environment['COLDFRAME_ENGINE'] ?? ''
  throw new BackupError(`Cannot do this with the engine "${engine}": it is about the engine of one machine`, {
    code: 'engine-elsewhere',
    kind: 'refused',
    hint: 'The engine on AWS goes on, looks for what was left behind and removes it by itself; leave COLDFRAME_ENGINE out for this machine',
  })
}

export type Records = Disposable & { readonly jobStore: JobStore }

/**
 * The records of the engine, wherever it is: a stack's with the rights of who asks (COLDFRAME_TABLE).
 * @returns null when nothing was ever backed up from this home
 */
export async function openRecordsIfThere(settings: Settings, world: World): Promise<Records | null> {
  if (!isElsewhere(world)) return openHomeIfThere(settings, world)
  // Loaded when it is needed: the clients of AWS take their time.
  const { openAwsRecords } = await import('../lib/compose/aws-policies.ts')
  return { jobStore: openAwsRecords(world.environment), [Symbol.dispose]: () => undefined }
}

/** The same; on this machine they are made when there are none. */
export async function openRecords(settings: Settings, world: World): Promise<Records> {
  return (await openRecordsIfThere(settings, world)) ?? (await openHome(settings, world))
}

/** @throws BackupError `repository-missing`, `repository-key`, `repository-version` */
export function openRepository(settings: Settings, world: World): Promise<Repository> {
  return openLocalRepository(settings, world, world)
}

/** Makes the repository when there is none at its place. */
export function createRepository(settings: Settings, world: World): Promise<Repository> {
  return createLocalRepository(settings, world, world)
}

/**
 * Where script bundles lie. Of a bucket nothing is opened, so that who may put scripts there need not be able to open backups; a
 * folder may be one that is not mounted, which only the repository in it tells.
 */
export async function openScripts(settings: Settings, world: World): Promise<ObjectStore> {
  if (settings.repository?.kind === 's3') return openObjectStore(settings.repository, world)
  return (await createRepository(settings, world)).store
}

export type Work = {
  readonly settings: Settings
  readonly state: LocalState
  readonly repository: Repository
  /** Whether what this command asked for is done. */
  readonly isDone: (cancel: Cancel) => Promise<boolean>
  /** Sentences about who does the work, for people. */
  readonly say: (line: string) => void
}

const lookMs = 250

/** Is this home's engine while nobody else is, until the work is done; else waits for whoever is. */
export async function work({ settings, state, repository, isDone, say }: Work, world: World): Promise<void> {
  let waited = false
  await workUntil(
    {
      openEngine: (cancel) => openLocalEngine({ settings, around: world, local: state, repository }, cancel),
      look: (role, cancel) => {
        if (role === 'waiting' && !waited) say(`Another process works in "${settings.home}": it does this, too`)
        if (role === 'engine' && waited) say('That process has ended: this one goes on in its place')
        waited = role === 'waiting'
        return isDone(cancel)
      },
      onDrain: () => say('Done; waiting until disks that other commands asked for are read'),
      clock: world.clock,
      lookMs,
    },
    world,
  )
}

/** Readers of a restore in threads of their own. */
export function restoreReaders({ repository }: Settings): RangeReaders {
  if (repository === null)
    throw new BackupError('Cannot restore: COLDFRAME_REPOSITORY is not set', { code: 'settings-faulty', kind: 'usage' })
  const entry = siblingEntry(import.meta.url, '../task/restore-worker')
  return threadReaders(entry, { store: repository, count: Math.min(4, availableParallelism()) })
}
