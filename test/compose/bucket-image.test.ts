import { expect, it } from 'vitest'
import { systemClock } from '../../lib/base/clock.ts'
import { hasCode } from '../../lib/base/errors.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { bucketImages } from '../../lib/compose/bucket-image.ts'
import { startS3Server } from '../kit/s3-server.ts'

const cancel = { signal: new AbortController().signal }
const image = { bucket: 'restored', key: 'db-01-3-4f1c/disk-2000.raw', capacityBytes: 100_000 }

it('an image goes into the bucket that a restore names, again over what an attempt left, encrypted as told', async () => {
  await using server = await startS3Server()
  const bucket = server.addBucket('restored')
  const objectKey = 'arn:aws:kms:eu-central-1:111122223333:key/1'
  const environment = { ...server.environment, COLDFRAME_OBJECT_KEY: objectKey }
  const open = bucketImages({ environment, clock: systemClock, random: systemRandom })
  for (const text of ['first', 'second']) {
    await using target = await open(image, cancel)

    await target.write({ offsetBytes: 99_000, bytes: Buffer.from(text) }, cancel)
    await target.commit(cancel)
  }
  const [version] = bucket.objects.get(image.key) ?? []
  expect(version?.bytes.byteLength).toBe(100_000)
  expect(version?.bytes.subarray(99_000, 99_006).toString()).toBe('second')
  expect(version?.encryption).toEqual({ algorithm: 'aws:kms', keyId: objectKey })
})

it('an image without a region is refused in words', async () => {
  const open = bucketImages({ environment: {}, clock: systemClock, random: systemRandom })
  await expect(open(image, cancel)).rejects.toSatisfy((error) => hasCode(error, 'settings-faulty'))
})
