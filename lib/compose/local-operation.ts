// The task of an operation on one machine: state in SQLite, the repository by its passphrase, readers in threads.

import { sqliteJobStore } from '../adapters/local/job-store.ts'
import { openState } from '../adapters/local/state.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Log } from '../ports/log.ts'
import type { HoldOperation } from '../restore/operation-hold.ts'
import { runOperation } from '../restore/run-operation.ts'
import type { Settings } from '../wire/settings.ts'
import { openLocalRepository, storeOf } from './local-mover.ts'
import { statePathOf } from './local-places.ts'
import { programOperationDeps } from './operation-task.ts'
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
  const { clock, random } = around
  using state = await openState({ path: statePathOf(settings.home), clock, random }, cancel)

  const repository = await openLocalRepository(settings, around, cancel)
  const jobStore = sqliteJobStore(state)
  const deps = programOperationDeps({ jobStore, repository, place: storeOf(settings), around, readerEntry, log })
  return await runOperation(request, deps, cancel)
}
