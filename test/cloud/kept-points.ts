// What a site's bucket holds, read as a restore reads it: from the bucket and the key alone, past every function of the stack.

import { createHash } from 'node:crypto'
import { kmsWrapper } from '../../lib/adapters/aws/kms.ts'
import { passphraseWrapper } from '../../lib/adapters/local/passphrase.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { messageOf } from '../../lib/base/errors.ts'
import { systemRandom } from '../../lib/base/random.ts'
import type { Cancel } from '../../lib/base/time-limit.ts'
import { openBucket } from '../../lib/compose/bucket-store.ts'
import { type DiskReader, diskReader } from '../../lib/repository/disk-reader.ts'
import { createRepository, openRepository } from '../../lib/repository/open-repository.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { listPointRefs, readPoint } from '../../lib/repository/points.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import type { BucketPlace } from '../../lib/wire/repository-place.ts'
import { TEST_ENVIRONMENT } from '../kit/aws/identity.ts'
import type { Site } from './site.ts'

const WINDOW_BYTES = 4 * 1024 * 1024

const around = { clock: systemClock, random: systemRandom }

export function openStore({ s3, bucket }: Pick<Site, 's3' | 'bucket'>) {
  const place: BucketPlace = {
    ...{ kind: 's3', bucket, prefix: '', region: TEST_ENVIRONMENT.AWS_REGION, endpoint: s3.endpoint },
    ...{ lock: null, objectKey: null },
  }
  return openBucket(place, { ...around, environment: TEST_ENVIRONMENT })
}

function wrapperOf({ kms, kmsKey }: Site) {
  return kmsWrapper({ keyArn: kmsKey }, { ...kms.client, ...around })
}

/** What `coldframe init` does. */
export async function makeRepository(site: Site, cancel: Cancel): Promise<void> {
  const wrappers = [
    wrapperOf(site),
    passphraseWrapper({ passphrase: 'for the day that the key is lost', random: systemRandom }),
  ]
  await createRepository({ ...around, store: openStore(site), wrappers }, cancel)
}

export function repositoryOf(site: Site, cancel: Cancel): Promise<Repository> {
  return openRepository({ store: openStore(site), wrappers: [wrapperOf(site)] }, cancel)
}

async function keptPoints(repository: Repository, cancel: Cancel): Promise<readonly StoredPoint[]> {
  const refs = await listPointRefs({ repository }, cancel)
  return Promise.all(refs.map((ref) => readPoint({ repository, ref }, cancel)))
}

export type ComparedDisk = {
  readonly vm: string
  readonly sequence: number
  readonly deviceKey: number
  readonly bytes: number
  readonly readMode: string
  /** Null: every byte is what was frozen. */
  readonly fault: string | null
}

/**
 * Reads every disk of the points of these snapshots, and compares it with what the simulator froze for each.
 * @param isMeant asked with the snapshot's name
 */
export async function compareSome(
  site: Site,
  isMeant: (snapshot: string) => boolean,
  cancel: Cancel,
): Promise<readonly ComparedDisk[]> {
  const repository = await repositoryOf(site, cancel)
  const frozen = await site.simulator.frozen(cancel)
  const compared: ComparedDisk[] = []
  for (const { envelope, body } of await keptPoints(repository, cancel)) {
    if (!isMeant(body.snapshotName)) continue
    const snapshot = frozen.find((one) => one.vm === body.vmName && one.snapshot === body.snapshotName)
    for (const disk of envelope.disks) {
      const expected = snapshot?.disks.find(({ deviceKey }) => deviceKey === disk.key)?.sha256
      const reader = diskReader({ repository, domain: envelope.vmId, disk, cacheBytesMax: 0 })
      const read = await digestOf(reader, disk.capacityBytes, cancel).catch((error: unknown) => ({
        fault: messageOf(error),
      }))
      compared.push({
        ...{ vm: body.vmName, sequence: envelope.sequence, deviceKey: disk.key, bytes: disk.capacityBytes },
        readMode: body.disks.find(({ key }) => key === disk.key)?.readMode ?? 'unknown',
        fault:
          typeof read !== 'string'
            ? `cannot be read: ${read.fault}`
            : read === expected
              ? null
              : 'differs from what was frozen',
      })
    }
  }
  return compared
}

async function digestOf(reader: DiskReader, capacityBytes: number, cancel: Cancel): Promise<string> {
  const hash = createHash('sha256')
  for (let offsetBytes = 0; offsetBytes < capacityBytes; offsetBytes += WINDOW_BYTES) {
    const target = new Uint8Array(Math.min(WINDOW_BYTES, capacityBytes - offsetBytes))
    await reader.readRange({ offsetBytes, target }, cancel)
    hash.update(target)
  }
  return hash.digest('hex')
}
