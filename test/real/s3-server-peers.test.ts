// Independent clients judge the S3 server of the tests: AWS's own SDK for JavaScript and Debian's boto3.

import { execFile } from 'node:child_process'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  paginateListObjectsV2,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { crc32Base64 } from '../../lib/adapters/aws/s3-store.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'
import { type S3Server, startS3Server } from '../kit/s3-server.ts'
import { storeOn } from '../kit/s3-stores.ts'

const MiB = 1024 * 1024
const Bucket = 'backups'
const cancel = { signal: new AbortController().signal }
let server: S3Server

beforeAll(async () => {
  server = await startS3Server()
  server.addBucket(Bucket, { objectLock: true })
})
afterAll(() => server[Symbol.asyncDispose]())

function sdk(options: S3ClientConfig = {}): S3Client {
  const { endpoint, region, credentials } = server
  return new S3Client({ endpoint, region, credentials, maxAttempts: 1, ...options })
}

async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call
  } catch (error) {
    if (error instanceof S3ServiceException) return `${error.$metadata.httpStatusCode} ${error.name}`
    throw error
  }
  return 'done'
}

describe("the S3 server, by AWS's SDK", () => {
  it('keeps what it is given, and takes it once where that is asked for', async () => {
    const client = sdk()
    const Body = seededRandom(1).bytes(100_000)
    const put = await client.send(new PutObjectCommand({ Bucket, Key: 'a/ü +&', Body, IfNoneMatch: '*' }))
    expect(put.ChecksumCRC32).toBe(crc32Base64(Body))
    const again = new PutObjectCommand({ Bucket, Key: 'a/ü +&', Body, IfNoneMatch: '*' })
    expect(await refusal(client.send(again))).toBe('412 PreconditionFailed')
    const got = await client.send(new GetObjectCommand({ Bucket, Key: 'a/ü +&', ChecksumMode: 'ENABLED' }))
    expect(Buffer.compare((await got.Body?.transformToByteArray()) ?? new Uint8Array(), Body)).toBe(0)
    const range = await client.send(new GetObjectCommand({ Bucket, Key: 'a/ü +&', Range: 'bytes=99990-199999' }))
    expect([range.ContentRange, range.ContentLength]).toEqual(['bytes 99990-99999/100000', 10])
  })

  it('lets exactly one of many win a key', async () => {
    const client = sdk()
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        refusal(client.send(new PutObjectCommand({ Bucket, Key: 'race', Body: `${index}`, IfNoneMatch: '*' }))),
      ),
    )
    expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(1)
  })

  it('refuses wrong checksums, unlocked locks, unknown functions and strangers', async () => {
    const client = sdk()
    const put = (input: object) => refusal(client.send(new PutObjectCommand({ Bucket, Key: 'x', Body: 'x', ...input })))
    expect(await put({ ChecksumCRC32: 'AAAAAA==' })).toBe('400 BadDigest')
    expect(await put({ ObjectLockMode: 'COMPLIANCE' })).toBe('400 InvalidArgument')
    expect(await put({ Tagging: 'a=b' })).toBe('501 NotImplemented')
    expect(await put({ ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'k' })).toBe('done')
    const Tagging = { TagSet: [{ Key: 'a', Value: 'b' }] }
    expect(await refusal(client.send(new PutObjectTaggingCommand({ Bucket, Key: 'x', Tagging })))).toBe(
      '501 NotImplemented',
    )
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'x' }))
    expect([head.ServerSideEncryption, head.SSEKMSKeyId, head.ContentLength]).toEqual(['aws:kms', 'k', 1])
    const stranger = sdk({ credentials: { accessKeyId: 'AKIASTRANGER', secretAccessKey: 'x' } })
    const get = new GetObjectCommand({ Bucket, Key: 'x' })
    expect(await refusal(stranger.send(get))).toBe('403 InvalidAccessKeyId')
    const elsewhere = sdk({ region: 'us-west-2' })
    expect(await refusal(elsewhere.send(get))).toBe('400 AuthorizationHeaderMalformed')
  })

  it('lists pages of objects and of versions as our store does', async () => {
    const client = sdk()
    for (let index = 0; index < 12; index++) {
      await client.send(new PutObjectCommand({ Bucket, Key: `list/${index % 5}`, Body: `${index}` }))
    }
    const keys: (string | undefined)[] = []
    for await (const page of paginateListObjectsV2({ client, pageSize: 2 }, { Bucket, Prefix: 'list/' })) {
      keys.push(...(page.Contents ?? []).map(({ Key }) => Key))
    }
    const { Versions = [], IsTruncated } = await client.send(
      new ListObjectVersionsCommand({ Bucket, Prefix: 'list/', MaxKeys: 9 }),
    )
    expect([Versions.length, IsTruncated]).toEqual([9, true])
    const ours: string[] = []
    for await (const { key } of storeOn(server, { prefix: 'list/' }).list('', cancel)) ours.push(`list/${key}`)
    expect(ours).toEqual(keys)
    const settings = await client.send(new GetBucketVersioningCommand({ Bucket }))
    const lock = await client.send(new GetObjectLockConfigurationCommand({ Bucket }))
    expect([settings.Status, lock.ObjectLockConfiguration?.ObjectLockEnabled]).toEqual(['Enabled', 'Enabled'])
  })

  it('puts parts together, and refuses small, missing and late ones', async () => {
    const client = sdk()
    const Key = 'parts'
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm: 'CRC32' }),
    )
    const bodies = [seededRandom(2).bytes(5 * MiB), seededRandom(3).bytes(1000)]
    const Parts: { PartNumber: number; ETag: string | undefined; ChecksumCRC32: string | undefined }[] = []
    for (const [index, Body] of bodies.entries()) {
      const part = { Bucket, Key, UploadId, PartNumber: index + 1, Body }
      const { ETag, ChecksumCRC32 } = await client.send(new UploadPartCommand(part))
      Parts.push({ PartNumber: index + 1, ETag, ChecksumCRC32 })
    }
    const listed = await client.send(new ListPartsCommand({ Bucket, Key, UploadId }))
    expect(listed.Parts?.map(({ Size }) => Size)).toEqual([5 * MiB, 1000])
    const complete = (parts: typeof Parts, more: object = {}) =>
      refusal(
        client.send(
          new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts: parts }, ...more }),
        ),
      )
    expect(await complete(Parts.toReversed())).toBe('400 InvalidPartOrder')
    expect(await complete([...Parts, { PartNumber: 3, ETag: '"x"', ChecksumCRC32: 'AAAAAA==' }])).toBe(
      '400 InvalidPart',
    )
    expect(await complete(Parts, { IfNoneMatch: '*' })).toBe('done')
    expect(await complete(Parts)).toBe('404 NoSuchUpload')
    const whole = await client.send(new GetObjectCommand({ Bucket, Key }))
    expect(Buffer.compare((await whole.Body?.transformToByteArray()) ?? new Uint8Array(), Buffer.concat(bodies))).toBe(
      0,
    )
    const other = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'gone' }))
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'gone', UploadId: other.UploadId }))
    const late = { Bucket, Key: 'gone', UploadId: other.UploadId, PartNumber: 1, Body: 'x' }
    expect(await refusal(client.send(new UploadPartCommand(late)))).toBe('404 NoSuchUpload')
  })

  it('finds the bucket in the name of the host, too', async () => {
    const lookup: NonNullable<ConstructorParameters<typeof Agent>[0]>['lookup'] = (_name, _options, done) =>
      done(null, [{ address: '127.0.0.1', family: 4 }])
    const requestHandler = new NodeHttpHandler({ httpAgent: new Agent({ lookup }) })
    const client = sdk({ endpoint: `http://s3.test:${server.port}`, requestHandler })
    await client.send(new PutObjectCommand({ Bucket, Key: 'virtual', Body: 'host' }))
    const ours = await storeOn(server).get('virtual', cancel)
    expect(Buffer.from(ours ?? []).toString()).toBe('host')
  })

  it('reads what our store wrote, with its checksum', async () => {
    const bytes = seededRandom(9).bytes(70_000)
    await storeOn(server).putIfAbsent({ key: 'p/00/ours', bytes }, cancel)
    const got = await sdk().send(new GetObjectCommand({ Bucket, Key: 'p/00/ours', ChecksumMode: 'ENABLED' }))
    expect(got.ChecksumCRC32).toBe(crc32Base64(bytes))
    expect(Buffer.compare((await got.Body?.transformToByteArray()) ?? new Uint8Array(), bytes)).toBe(0)
  })
})

describe.skipIf(peerSkip('boto3'))("the S3 server, by Debian's boto3", () => {
  it('does what boto3 expects of S3', async () => {
    server.addBucket('boto', { objectLock: true })
    const script = join(import.meta.dirname, 's3_peer.py')
    const { AWS_ENDPOINT_URL_S3: endpoint = '', ...environment } = server.environment
    const { stdout } = await promisify(execFile)(requirePeer('boto3'), [script, endpoint, 'boto'], {
      env: { ...process.env, ...environment, AWS_DEFAULT_REGION: server.region, AWS_CONFIG_FILE: '/dev/null' },
    })
    expect(JSON.parse(stdout)).toEqual({
      whole: true,
      range: 'ff0001',
      suffix: 'feff',
      beyond: '416 InvalidRange',
      missing: '404 NoSuchKey',
      'missing head': '404 404',
      'missing bucket': '404 NoSuchBucket',
      acl: '501 NotImplemented',
      copy: '501 NotImplemented',
      digest: '400 BadDigest',
      multipart: true,
      'multipart etag': '3',
      listed: true,
      folders: ['list/0/', 'list/1/', 'list/2/'],
      deleted: '404 NoSuchKey',
      first: '1',
      versions: [2, 1],
      'locked delete': '403 AccessDenied',
      many: [['versions'], ['AccessDenied']],
      longer: 'done',
      shorter: '403 AccessDenied',
      signature: '403 SignatureDoesNotMatch',
    })
  })
})
