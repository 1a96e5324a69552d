// Operations of the S3 server of the tests on a bucket: its settings, its listings, deletes of many.

import { checkedChecksum, type ObjectCall } from './s3-server-objects.ts'
import {
  badRequest,
  element,
  elementsIn,
  emptyReply,
  invalidArgument,
  S3Error,
  type S3Reply,
  textIn,
  type Xml,
  xmlReply,
} from './s3-server-replies.ts'
import { type Bucket, deleteObject, type ObjectVersion } from './s3-server-state.ts'
import { uriEncode } from './sigv4-check.ts'

type Listing = { readonly pageKeysMax: number }

export function listObjectsV2(call: ObjectCall, limits: Listing): S3Reply {
  const { query, bucketOf } = call
  const show = encoder(query.get('encoding-type'))
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const token = query.get('continuation-token')
  const after = token === undefined ? (query.get('start-after') ?? '') : tokenText(token)
  const most = pageOf(query.get('max-keys'), limits)
  const rows = new Map<string, Xml>()
  for (const [key, [top]] of keysOf(bucketOf, prefix)) {
    if (top === undefined || top.kind === 'marker') continue
    const folder = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    const name = folder < 0 ? key : key.slice(0, folder + delimiter.length)
    if (compareBytes(name, after) <= 0 || rows.has(name)) continue
    rows.set(name, folder < 0 ? contentsOf(top, show(key)) : element('CommonPrefixes', [element('Prefix', show(name))]))
  }
  const page = [...rows].slice(0, most)
  const truncated = page.length < rows.size
  return xmlReply('ListBucketResult', [
    element('Name', call.bucket),
    element('Prefix', show(prefix)),
    element('KeyCount', String(page.length)),
    element('MaxKeys', String(most)),
    element('IsTruncated', String(truncated)),
    ...(query.get('encoding-type') === undefined ? [] : [element('EncodingType', 'url')]),
    ...(truncated ? [element('NextContinuationToken', textToken(page.at(-1)?.[0] ?? ''))] : []),
    ...page.map(([, row]) => row),
  ])
}

/** Keys ascending, of each key the newest version first. */
export function listVersions(call: ObjectCall, limits: Listing): S3Reply {
  const { query, bucketOf } = call
  const show = encoder(query.get('encoding-type'))
  const prefix = query.get('prefix') ?? ''
  const most = pageOf(query.get('max-keys'), limits)
  const keyMarker = query.get('key-marker') ?? ''
  const versionMarker = query.get('version-id-marker')
  if (versionMarker !== undefined && keyMarker === '') {
    throw invalidArgument('A version-id marker cannot be specified without a key marker.')
  }
  const rows: { readonly key: string; readonly version: ObjectVersion; readonly latest: boolean }[] = []
  for (const [key, all] of keysOf(bucketOf, prefix)) {
    const order = compareBytes(key, keyMarker)
    if (order < 0 || (order === 0 && versionMarker === undefined)) continue
    const from = order === 0 ? all.findIndex(({ versionId }) => versionId === versionMarker) + 1 : 0
    for (const version of all.slice(from)) rows.push({ key, version, latest: version === all[0] })
  }
  const page = rows.slice(0, most)
  const last = page.at(-1)
  const next =
    page.length < rows.length && last !== undefined
      ? [element('NextKeyMarker', show(last.key)), element('NextVersionIdMarker', last.version.versionId)]
      : []
  return xmlReply('ListVersionsResult', [
    element('Name', call.bucket),
    element('Prefix', show(prefix)),
    element('KeyMarker', show(keyMarker)),
    element('MaxKeys', String(most)),
    element('IsTruncated', String(page.length < rows.length)),
    ...(query.get('encoding-type') === undefined ? [] : [element('EncodingType', 'url')]),
    ...next,
    ...page.map(({ key, version, latest }) => versionRow(version, { key: show(key), latest })),
  ])
}

function versionRow(version: ObjectVersion, at: { readonly key: string; readonly latest: boolean }): Xml {
  const named = [
    element('Key', at.key),
    element('VersionId', version.versionId),
    element('IsLatest', String(at.latest)),
    element('LastModified', new Date(version.modifiedMs).toISOString()),
  ]
  if (version.kind === 'marker') return element('DeleteMarker', named)
  return element('Version', [
    ...named,
    element('ETag', version.etag),
    element('Size', String(version.bytes.byteLength)),
    element('StorageClass', 'STANDARD'),
  ])
}

function contentsOf(version: ObjectVersion, key: string): Xml {
  return element('Contents', [
    element('Key', key),
    element('LastModified', new Date(version.modifiedMs).toISOString()),
    element('ETag', version.etag),
    element('Size', String(version.bytes.byteLength)),
    element('StorageClass', 'STANDARD'),
  ])
}

export function deleteObjects(call: ObjectCall): S3Reply {
  if (checkedChecksum(call) === null && call.headers['content-md5'] === undefined) {
    throw badRequest('Missing required header for this request: Content-MD5 OR x-amz-checksum-*')
  }
  const named = elementsIn(call.body.toString(), 'Object')
  if (named.length === 0 || named.length > 1000) {
    throw new S3Error(400, 'MalformedXML', 'The XML you provided was not well-formed or did not validate')
  }
  const bypass = call.headers['x-amz-bypass-governance-retention'] === 'true'
  const rows = named.map((xml) => {
    const key = textIn(xml, 'Key') ?? ''
    const versionId = textIn(xml, 'VersionId') ?? undefined
    try {
      const headers = deleteObject(call.bucketOf, key, { versionId, bypass, nowMs: call.nowMs })
      const marker = headers['x-amz-delete-marker'] === undefined ? [] : [element('DeleteMarker', 'true')]
      return element('Deleted', [element('Key', key), ...marker])
    } catch (error) {
      if (!(error instanceof S3Error)) throw error
      return element('Error', [element('Key', key), element('Code', error.code), element('Message', error.message)])
    }
  })
  return xmlReply('DeleteResult', rows)
}

/** Bucket settings that a program may look at. */
export function getBucketSetting(call: ObjectCall, name: string, { region }: { readonly region: string }): S3Reply {
  const { bucketOf } = call
  if (name === 'location') return xmlReply('LocationConstraint', region === 'us-east-1' ? [] : [{ xml: region }])
  if (name === 'versioning') {
    const status = bucketOf.versioning === 'off' ? [] : [element('Status', bucketOf.versioning)]
    return xmlReply('VersioningConfiguration', status)
  }
  if (name === 'object-lock') {
    if (bucketOf.objectLock) return xmlReply('ObjectLockConfiguration', [element('ObjectLockEnabled', 'Enabled')])
    throw new S3Error(
      404,
      'ObjectLockConfigurationNotFoundError',
      'Object Lock configuration does not exist for this bucket',
    )
  }
  if (name === 'publicAccessBlock') {
    const names = ['BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets']
    if (bucketOf.publicAccessBlocked) {
      return xmlReply(
        'PublicAccessBlockConfiguration',
        names.map((one) => element(one, 'true')),
      )
    }
    throw new S3Error(
      404,
      'NoSuchPublicAccessBlockConfiguration',
      'The public access block configuration was not found',
    )
  }
  if (bucketOf.policy === null) throw new S3Error(404, 'NoSuchBucketPolicy', 'The bucket policy does not exist')
  return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(bucketOf.policy) }
}

export function putBucketSetting(call: ObjectCall, name: string): S3Reply {
  const text = call.body.toString()
  if (name === 'policy') {
    call.bucketOf.policy = text
    return emptyReply(204)
  }
  const status = textIn(text, 'Status')
  if (status !== 'Enabled' && status !== 'Suspended') throw new S3Error(400, 'MalformedXML', 'Status is missing')
  if (call.bucketOf.objectLock && status === 'Suspended') {
    throw new S3Error(409, 'InvalidBucketState', 'An Object Lock configuration is present on this bucket')
  }
  call.bucketOf.versioning = status
  return emptyReply(200)
}

/** Ascending by UTF-8 bytes. */
function keysOf(bucket: Bucket, prefix: string): readonly (readonly [string, readonly ObjectVersion[]])[] {
  return [...bucket.objects]
    .filter(([key]) => key.startsWith(prefix))
    .toSorted(([left], [right]) => compareBytes(left, right))
}

function pageOf(text: string | undefined, { pageKeysMax }: Listing): number {
  const asked = text === undefined ? 1000 : Number(text)
  if (!Number.isInteger(asked) || asked < 0)
    throw invalidArgument('Argument maxKeys must be an integer between 0 and 2147483647')
  return Math.min(asked, pageKeysMax)
}

function encoder(type: string | undefined): (text: string) => string {
  if (type === undefined) return (text) => text
  if (type !== 'url') throw invalidArgument('Invalid Encoding Method specified in Request')
  return (text) => text.split('/').map(uriEncode).join('/')
}

function compareBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}

function textToken(text: string): string {
  return Buffer.from(text).toString('base64')
}

function tokenText(token: string): string {
  const text = Buffer.from(token, 'base64').toString()
  if (textToken(text) !== token) throw invalidArgument('The continuation token provided is incorrect')
  return text
}
