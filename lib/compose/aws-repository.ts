// What a task of a stack works on: state in DynamoDB, and the repository in a bucket, whose keys KMS unwraps. Credentials are the task
// role's: the SDK and our own S3 client find them where the container agent gives them.

import { dynamoJobStore } from '../adapters/aws/job-store.ts'
import { kmsWrapper } from '../adapters/aws/kms.ts'
import { openStateTable } from '../adapters/aws/state-table.ts'
import { meteredWrapper } from '../adapters/wrap/metered-calls.ts'
import { meteredStore } from '../adapters/wrap/metered-store.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { Meter } from '../ports/meter.ts'
import { openRepository } from '../repository/open-repository.ts'
import type { Repository } from '../repository/repository.ts'
import { type AwsSettings, needed } from '../wire/aws-settings.ts'
import { openBucket } from './bucket-store.ts'
import type { Surroundings } from './vsphere-settings.ts'

type Program = { readonly around: Surroundings; readonly meter: Meter }

/** @throws BackupError `settings-faulty` */
export function openAwsState(settings: AwsSettings, { around, meter }: Program): JobStore {
  const { clock, random } = around
  return dynamoJobStore(openStateTable({ table: needed(settings, 'table'), clock, random, meter }), { clock })
}

/** @throws BackupError `settings-faulty`; what openRepository() and the key service throw */
export function openAwsRepository(
  settings: AwsSettings,
  { around, meter }: Program,
  cancel: Cancel,
): Promise<Repository> {
  const { clock, random } = around
  const store = meteredStore(openBucket(needed(settings, 'repository'), around), meter)
  const wrapper = meteredWrapper(kmsWrapper({ keyArn: needed(settings, 'kmsKey') }, { clock, random }), meter)
  return openRepository({ store, wrappers: [wrapper] }, cancel)
}
