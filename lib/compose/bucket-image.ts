// Opens images in buckets for restores: in the region, or at the endpoint, that the environment names, by its credentials.

import { openS3Image } from '../adapters/aws/s3-image-target.ts'
import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { DiskTarget } from '../ports/disk.ts'
import { bucketPlaceOf } from '../wire/repository-place.ts'
import { openBucketClient } from './bucket-store.ts'
import type { Surroundings } from './vsphere-settings.ts'

/** Where a disk goes in a bucket. */
export type BucketImage = { readonly bucket: string; readonly key: string; readonly capacityBytes: number }

/**
 * The name of the image is the restore's own: an object of that name is of an attempt that ended half-way.
 * @throws from what it returns: BackupError `settings-faulty` (kind usage); what openS3Image() throws
 */
export function bucketImages(around: Surroundings): (image: BucketImage, cancel: Cancel) => Promise<DiskTarget> {
  return async ({ bucket, key, capacityBytes }, cancel) => {
    const faults: string[] = []
    const { environment, random } = around
    const place = bucketPlaceOf({ name: 'the bucket of the image', text: `s3:${bucket}` }, { environment, faults })
    if (place === null) {
      throw new BackupError(`Cannot write an image to bucket "${bucket}": ${faults.join('; ')}`, {
        code: 'settings-faulty',
        kind: 'usage',
        facts: { faults },
      })
    }
    const client = openBucketClient(place, around)
    return await openS3Image({ client, key, capacityBytes, overwrite: true, kmsKey: place.objectKey, random }, cancel)
  }
}
