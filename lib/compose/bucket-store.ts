// Opens the object store of a repository in a bucket. Apart from object-stores.ts, since functions must not reach folders.

import { DEFAULT_PATIENCE, s3Client } from '../adapters/aws/s3-client.ts'
import { s3Credentials } from '../adapters/aws/s3-credentials.ts'
import { s3Store } from '../adapters/aws/s3-store.ts'
import type { ObjectStore } from '../ports/object-store.ts'
import type { BucketPlace } from '../wire/repository-place.ts'
import type { Surroundings } from './vsphere-settings.ts'

/** More than the calls that one program or thread has in flight: uploads, reads ahead, a listing. */
const CONNECTIONS_MAX = 32
/** They expire by the bucket's lifecycle. */
const WORKING_PAPERS = ['s/']

/** Not wrapped in another retry: it tries again by itself, and knows what a lost answer may have done. */
export function openBucket(place: BucketPlace, { environment, clock, random }: Surroundings): ObjectStore {
  const client = openBucketClient(place, { environment, clock, random })
  const lock = place.lock === null ? null : { ...place.lock, except: WORKING_PAPERS }
  return s3Store({ client, prefix: place.prefix, lock, kmsKey: place.objectKey, clock, random })
}

export function openBucketClient({ bucket, region, endpoint }: BucketPlace, around: Surroundings) {
  const { environment, clock, random } = around
  return s3Client({
    ...{ bucket, region, endpoint, clock, random },
    credentials: s3Credentials(environment),
    patience: DEFAULT_PATIENCE,
    connectionsMax: CONNECTIONS_MAX,
    idleMs: 30_000,
    limitMs: 120_000,
  })
}
