// Creates the repository that the settings name, or looks at the one that is there; adds a key of KMS that opens it; says how the
// bucket is set up.

import { kmsWrapper } from '../adapters/aws/kms.ts'
import { type BucketFinding, lookAtBucket } from '../adapters/aws/s3-bucket-look.ts'
import { hexOf } from '../base/bytes.ts'
import { BackupError, hasCode, malformed } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { KeyWrapper } from '../ports/keys.ts'
import type { ObjectStore } from '../ports/object-store.ts'
import { addWrap } from '../repository/add-wrap.ts'
import { openRepository } from '../repository/open-repository.ts'
import { placeName } from '../wire/repository-place.ts'
import type { Settings } from '../wire/settings.ts'
import { openBucketClient } from './bucket-store.ts'
import { createLocalRepository } from './local.ts'
import { openObjectStore } from './object-stores.ts'
import { passphraseKey } from './passphrase-key.ts'
import type { Surroundings } from './vsphere-settings.ts'

export type InitRequest = {
  readonly settings: Settings
  /** ARN of a key of KMS that is to open the repository, too. */
  readonly kmsKey: string | null
}

export type InitReport = {
  readonly repository: string
  readonly repositoryId: string
  readonly created: boolean
  readonly kmsKey: { readonly arn: string; readonly state: 'added' | 'there' } | null
  /** Of a bucket; null for a folder. */
  readonly bucket: readonly BucketFinding[] | null
}

/**
 * The key of KMS is proven before anything is created: a mistyped one leaves nothing behind.
 * @throws BackupError `malformed` (the ARN), `bucket-unfit` (kind refused), `s3-not-supported`; what opening and KMS throw
 */
export async function initRepository(request: InitRequest, around: Surroundings, cancel: Cancel): Promise<InitReport> {
  const { settings, kmsKey } = request
  const { repository: place, passphrase } = settings
  if (place === null || passphrase === null) {
    throw new BackupError('Cannot begin a repository: COLDFRAME_REPOSITORY or its passphrase is not set', {
      code: 'settings-faulty',
      kind: 'usage',
    })
  }
  const cloud = kmsKey === null ? null : kmsWrapperOf(kmsKey, around)
  if (cloud !== null) await proveKey(cloud, around, cancel)
  const bucket = place.kind === 's3' ? await lookAtBucket(openBucketClient(place, around), cancel) : null
  if (place.kind === 's3' && place.lock !== null) refuseUnlocked(place.bucket, bucket ?? [])
  const store = openObjectStore(place, around)
  const own = await passphraseKey(passphrase, around, cancel)
  const before = await isThere(store, own, cancel)
  const repository = await createLocalRepository(settings, around, cancel)
  const state = cloud === null ? null : await addWrap({ repository, own, added: cloud }, cancel)
  return {
    repository: placeName(place),
    repositoryId: repository.id,
    created: !before,
    kmsKey: kmsKey === null || state === null ? null : { arn: kmsKey, state },
    bucket,
  }
}

/** @throws BackupError `repository-key` and what else says that one is there and does not open */
async function isThere(store: ObjectStore, own: KeyWrapper, cancel: Cancel): Promise<boolean> {
  try {
    await openRepository({ store, wrappers: [own] }, cancel)
    return true
  } catch (error) {
    if (hasCode(error, 'repository-missing')) return false
    throw error
  }
}

function kmsWrapperOf(arn: string, { clock, random }: Surroundings): KeyWrapper {
  const region = /^arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key\/[A-Za-z0-9-]+$/.exec(arn)?.[1]
  if (region === undefined) {
    throw malformed('KMS key', arn, 'must be the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not an alias')
  }
  return kmsWrapper({ keyArn: arn }, { clock, random, region })
}

async function proveKey(wrapper: KeyWrapper, { random }: Surroundings, cancel: Cancel): Promise<void> {
  const context = { repositoryId: hexOf(random.bytes(16)), kid: hexOf(random.bytes(8)) }
  const key = random.bytes(32)
  const again = await wrapper.unwrap(await wrapper.wrap(key, context, cancel), context, cancel)
  if (again === null || Buffer.compare(again, key) !== 0) {
    throw new BackupError('Cannot use the KMS key: what it encrypts, it does not decrypt', {
      code: 'repository-key',
      kind: 'refused',
      hint: 'Give these credentials kms:Encrypt and kms:Decrypt of the key',
    })
  }
}

/** S3 refuses locks in such a bucket, at the first object. */
function refuseUnlocked(bucket: string, findings: readonly BucketFinding[]): void {
  const lock = findings.find(({ id }) => id === 'object-lock')
  if (lock?.verdict !== 'warning') return
  throw new BackupError(`Cannot lock objects of bucket "${bucket}": Object Lock is not enabled there`, {
    code: 'bucket-unfit',
    kind: 'refused',
    hint: 'Use a bucket that has it, or unset COLDFRAME_OBJECT_LOCK',
    facts: { bucket },
  })
}
