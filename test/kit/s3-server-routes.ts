// Which request of the S3 server of the tests is which operation, and what it does not know: refused with 501.

import type { IncomingHttpHeaders } from 'node:http'
import { deleteObjects, getBucketSetting, listObjectsV2, listVersions, putBucketSetting } from './s3-server-buckets.ts'
import type { S3Call } from './s3-server-calls.ts'
import { abortUpload, completeUpload, createUpload, listParts, uploadPart } from './s3-server-multipart.ts'
import { getObject, getRetention, type ObjectCall, putObject, putRetention, removeObject } from './s3-server-objects.ts'
import { emptyReply, notImplemented, S3Error, type S3Reply } from './s3-server-replies.ts'
import { type Bucket, newBucket } from './s3-server-state.ts'

/** By method, "bucket" or "object", and the query names that tell operations apart. */
const operations: Readonly<Record<string, string>> = {
  'PUT bucket': 'CreateBucket',
  'HEAD bucket': 'HeadBucket',
  'GET bucket location': 'GetBucketLocation',
  'GET bucket versioning': 'GetBucketVersioning',
  'PUT bucket versioning': 'PutBucketVersioning',
  'GET bucket object-lock': 'GetObjectLockConfiguration',
  'GET bucket publicAccessBlock': 'GetPublicAccessBlock',
  'GET bucket policy': 'GetBucketPolicy',
  'PUT bucket policy': 'PutBucketPolicy',
  'GET bucket list-type': 'ListObjectsV2',
  'GET bucket versions': 'ListObjectVersions',
  'POST bucket delete': 'DeleteObjects',
  'PUT object': 'PutObject',
  'GET object': 'GetObject',
  'HEAD object': 'HeadObject',
  'DELETE object': 'DeleteObject',
  'PUT object retention': 'PutObjectRetention',
  'GET object retention': 'GetObjectRetention',
  'POST object uploads': 'CreateMultipartUpload',
  'PUT object partNumber uploadId': 'UploadPart',
  'GET object uploadId': 'ListParts',
  'POST object uploadId': 'CompleteMultipartUpload',
  'DELETE object uploadId': 'AbortMultipartUpload',
}

/** Query names that tell no operation apart, by operation. "x-id" is the SDK's own note. */
const parameters: Readonly<Record<string, readonly string[]>> = {
  ListObjectsV2: ['prefix', 'delimiter', 'max-keys', 'continuation-token', 'start-after', 'encoding-type'],
  ListObjectVersions: ['prefix', 'max-keys', 'key-marker', 'version-id-marker', 'encoding-type'],
  GetObject: ['versionId'],
  HeadObject: ['versionId'],
  DeleteObject: ['versionId'],
  PutObjectRetention: ['versionId'],
  GetObjectRetention: ['versionId'],
  ListParts: ['max-parts', 'part-number-marker'],
}
const plain = new Set([...Object.values(parameters).flat(), 'x-id'])

const headersKnown = new Set([
  'x-amz-date',
  'x-amz-content-sha256',
  'x-amz-security-token',
  'x-amz-user-agent',
  'x-amz-sdk-checksum-algorithm',
  'x-amz-checksum-mode',
  'x-amz-checksum-crc32',
  'x-amz-checksum-sha256',
  'x-amz-checksum-algorithm',
  'x-amz-checksum-type',
  'x-amz-object-lock-mode',
  'x-amz-object-lock-retain-until-date',
  'x-amz-bypass-governance-retention',
  'x-amz-bucket-object-lock-enabled',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
])

export function operationOf({
  method,
  bucket,
  key,
  query,
}: Pick<S3Call, 'method' | 'bucket' | 'key' | 'query'>): string {
  if (bucket === '') throw notImplemented(`${method} of the whole account`)
  const telling = [...query.keys()].filter((name) => !plain.has(name)).toSorted()
  const name = [method, key === '' ? 'bucket' : 'object', ...telling].join(' ')
  const operation = operations[name]
  if (operation === undefined) throw notImplemented(name)
  const known = [...(parameters[operation] ?? []), ...telling, 'x-id']
  const odd = [...query.keys()].find((one) => !known.includes(one))
  if (odd !== undefined) throw notImplemented(`${odd} of ${operation}`)
  return operation
}

export function refuseUnknown(headers: IncomingHttpHeaders): void {
  for (const name of Object.keys(headers)) {
    const ours = !name.startsWith('x-amz-') || name.startsWith('x-amz-meta-') || headersKnown.has(name)
    const conditional = ['if-match', 'if-modified-since', 'if-unmodified-since'].includes(name)
    if (!ours || conditional) throw notImplemented(name)
  }
}

type Surroundings = {
  readonly buckets: Map<string, Bucket>
  readonly region: string
  readonly pageKeysMax: number
  readonly partBytesMin: number
}

export function runOperation(
  call: S3Call & { readonly body: Buffer; readonly nowMs: number },
  around: Surroundings,
): S3Reply {
  const { operation, bucket: name } = call
  if (operation === 'CreateBucket') return createBucket(call, around)
  const bucket = around.buckets.get(name)
  if (bucket === undefined) {
    throw new S3Error(404, 'NoSuchBucket', 'The specified bucket does not exist', { elements: { BucketName: name } })
  }
  const own: ObjectCall = { ...call, bucketOf: bucket }
  if (operation === 'HeadBucket') return emptyReply(200, { 'x-amz-bucket-region': around.region })
  if (operation === 'ListObjectsV2') return listObjectsV2(own, around)
  if (operation === 'ListObjectVersions') return listVersions(own, around)
  if (operation === 'CompleteMultipartUpload') return completeUpload(own, around)
  if (operation === 'GetObject') return getObject(own, { body: true })
  if (operation === 'HeadObject') return getObject(own, { body: false })
  const simple = simpleOperations[operation]
  if (simple !== undefined) return simple(own)
  const setting = [...call.query.keys()].find((one) => one !== 'x-id') ?? ''
  return call.method === 'PUT' ? putBucketSetting(own, setting) : getBucketSetting(own, setting, around)
}

const simpleOperations: Readonly<Record<string, (call: ObjectCall) => S3Reply>> = {
  PutObject: putObject,
  DeleteObject: removeObject,
  DeleteObjects: deleteObjects,
  PutObjectRetention: putRetention,
  GetObjectRetention: getRetention,
  CreateMultipartUpload: createUpload,
  UploadPart: uploadPart,
  ListParts: listParts,
  AbortMultipartUpload: abortUpload,
}

function createBucket({ bucket, headers }: S3Call, { buckets }: Surroundings): S3Reply {
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw new S3Error(400, 'InvalidBucketName', 'The specified bucket is not valid.')
  }
  if (buckets.has(bucket)) throw new S3Error(409, 'BucketAlreadyOwnedByYou', 'Your previous request succeeded')
  buckets.set(bucket, newBucket(bucket, { objectLock: headers['x-amz-bucket-object-lock-enabled'] === 'true' }))
  return emptyReply(200, { location: `/${bucket}` })
}
