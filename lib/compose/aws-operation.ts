// The task of an operation of a stack: a restore or a check in a container on ECS.

import { availableParallelism } from 'node:os'
import { memoryMeter } from '../adapters/memory/meter.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Log } from '../ports/log.ts'
import type { HoldOperation } from '../restore/operation-hold.ts'
import { runOperation } from '../restore/run-operation.ts'
import { type AwsSettings, needed } from '../wire/aws-settings.ts'
import { parseAllowedTargets } from '../wire/restore-targets.ts'
import { openAwsRepository, openAwsState } from './aws-repository.ts'
import { bucketImages } from './bucket-image.ts'
import { operationDeps } from './operation-task.ts'
import { threadReaders } from './restore-threads.ts'
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
  const count = Math.min(4, availableParallelism())
  const deps = operationDeps({
    jobStore: openAwsState(settings, { around, meter }),
    ...{ repository, place, around, log },
    openBucketImage: bucketImages(around),
    targets: parseAllowedTargets(around.environment['COLDFRAME_RESTORE_TARGETS']),
    readers: threadReaders(readerEntry, { store: place, count }),
  })
  return runOperation(request, deps, cancel)
}
