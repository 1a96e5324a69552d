// The task of an operation on one machine: state in SQLite, the repository by its passphrase, readers in threads.

import { availableParallelism } from 'node:os'
import { sqliteJobStore } from '../adapters/local/job-store.ts'
import { openState } from '../adapters/local/state.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Log } from '../ports/log.ts'
import type { HoldOperation } from '../restore/operation-hold.ts'
import { runOperation } from '../restore/run-operation.ts'
import { parseAllowedTargets } from '../wire/restore-targets.ts'
import type { Settings } from '../wire/settings.ts'
import { bucketImages } from './bucket-image.ts'
import { openLocalRepository, storeOf } from './local-mover.ts'
import { statePathOf } from './local-places.ts'
import { operationDeps } from './operation-task.ts'
import { threadReaders } from './restore-threads.ts'
import type { Surroundings } from './vsphere-settings.ts'

export type LocalOperation = {
  readonly settings: Settings
  readonly around: Surroundings
  /** The entry of reader threads beside the program. */
  readonly readerEntry: URL
  readonly log: Log
}

/** @throws what runOperation() throws; BackupError when state or repository are unusable */
export async function runLocalOperation(
  request: HoldOperation,
  { settings, around, readerEntry, log }: LocalOperation,
  cancel: Cancel,
): Promise<Outcome | null> {
  const { clock, random, environment } = around
  using state = await openState({ path: statePathOf(settings.home), clock, random }, cancel)

  const repository = await openLocalRepository(settings, around, cancel)
  const count = Math.min(4, availableParallelism())
  const deps = operationDeps({
    jobStore: sqliteJobStore(state),
    repository,
    place: storeOf(settings),
    targets: parseAllowedTargets(environment['COLDFRAME_RESTORE_TARGETS']),
    openBucketImage: bucketImages(around),
    readers: threadReaders(readerEntry, { store: storeOf(settings), count }),
    around,
    log,
  })
  return await runOperation(request, deps, cancel)
}
