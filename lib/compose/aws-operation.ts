// The task of an operation of a stack: a restore or a check in a container on ECS.

import { memoryMeter } from '../adapters/memory/meter.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Log } from '../ports/log.ts'
import type { HoldOperation } from '../restore/operation-hold.ts'
import { runOperation } from '../restore/run-operation.ts'
import { type AwsSettings, needed } from '../wire/aws-settings.ts'
import { openAwsRepository, openAwsState } from './aws-repository.ts'
import { programOperationDeps } from './operation-task.ts'
import type { Surroundings } from './vsphere-settings.ts'

export type AwsOperation = {
  readonly settings: AwsSettings
  readonly around: Surroundings
  /** The entry of reader threads beside the program. */
  readonly readerEntry: URL
  readonly log: Log
}

/** @throws what runOperation() throws; BackupError when state, repository or key cannot be used, `settings-faulty` */
export async function runAwsOperation(
  request: HoldOperation,
  { settings, around, readerEntry, log }: AwsOperation,
  cancel: Cancel,
): Promise<Outcome | null> {
  const place = needed(settings, 'repository')
  const meter = memoryMeter({ functionGb: 0 })
  const repository = await openAwsRepository(settings, { around, meter }, cancel)
  const jobStore = openAwsState(settings, { around, meter })
  const deps = programOperationDeps({ jobStore, repository, place, around, readerEntry, log })
  return runOperation(request, deps, cancel)
}
