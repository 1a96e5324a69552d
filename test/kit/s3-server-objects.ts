// Operations of the S3 server of the tests on one object: put, get, head, delete, retention.

import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { S3Call } from './s3-server-calls.ts'
import {
  badRequest,
  element,
  emptyReply,
  invalidArgument,
  notImplemented,
  S3Error,
  type S3Reply,
  textIn,
  xmlReply,
} from './s3-server-replies.ts'
import {
  addVersion,
  type Bucket,
  type Checksum,
  currentOf,
  deleteObject,
  type Encryption,
  type ObjectFactsGiven,
  type ObjectVersion,
  type Retention,
  setRetention,
  versionOf,
} from './s3-server-state.ts'

/** An operation with its bucket and body. */
export type ObjectCall = S3Call & { readonly bucketOf: Bucket; readonly body: Buffer; readonly nowMs: number }

export function putObject(call: ObjectCall): S3Reply {
  if (call.body.byteLength > 5 * 1024 ** 3) {
    throw new S3Error(400, 'EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size')
  }
  const checksum = checkedChecksum(call)
  const facts = factsGiven(call)
  if (facts.retention !== null && checksum === null && call.headers['content-md5'] === undefined) {
    throw badRequest(
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
    )
  }
  refuseExisting(call)
  const kept = { kind: 'object', bytes: call.body, modifiedMs: call.nowMs, ...facts } as const
  const version = addVersion(call.bucketOf, call.key, { ...kept, checksum: checksum ?? crc32Of(call.body) })
  return emptyReply(200, { etag: version.etag, ...versionHeaders(call.bucketOf, version), ...checksumHeaders(version) })
}

/** If-None-Match: * (S3 User Guide, "How to prevent object overwrites with conditional writes"). */
export function refuseExisting({ headers, bucketOf, key }: ObjectCall): void {
  const condition = headers['if-none-match']
  if (condition === undefined) return
  if (condition !== '*') throw notImplemented(`If-None-Match: ${condition}`)
  if (currentOf(bucketOf, key) === null) return
  const message = 'At least one of the pre-conditions you specified did not hold'
  throw new S3Error(412, 'PreconditionFailed', message, { elements: { Condition: 'If-None-Match' } })
}

export function getObject(call: ObjectCall, { body }: { readonly body: boolean }): S3Reply {
  const version = versionOf(call.bucketOf, call.key, call.query.get('versionId'))
  const asked = rangeOf(String(call.headers['range'] ?? ''), version.bytes.byteLength)
  const { retention } = version
  const headers: Record<string, string> = {
    etag: version.etag,
    'last-modified': new Date(version.modifiedMs).toUTCString(),
    'accept-ranges': 'bytes',
    'content-type': version.contentType,
    ...versionHeaders(call.bucketOf, version),
    ...encryptionHeaders(version.encryption),
    ...Object.fromEntries(Object.entries(version.metadata).map(([name, value]) => [`x-amz-meta-${name}`, value])),
    ...(retention === null ? {} : { 'x-amz-object-lock-mode': retention.mode }),
    ...(retention === null ? {} : { 'x-amz-object-lock-retain-until-date': new Date(retention.untilMs).toISOString() }),
    ...(call.headers['x-amz-checksum-mode'] === 'ENABLED' && asked === null ? checksumHeaders(version) : {}),
  }
  const bytes = asked === null ? version.bytes : version.bytes.subarray(asked.from, asked.to + 1)
  const range: Record<string, string> =
    asked === null ? {} : { 'content-range': `bytes ${asked.from}-${asked.to}/${version.bytes.byteLength}` }
  return {
    status: asked === null ? 200 : 206,
    headers: { ...headers, ...range, 'content-length': String(bytes.byteLength) },
    body: body ? bytes : Buffer.alloc(0),
  }
}

export function removeObject(call: ObjectCall): S3Reply {
  const headers = deleteObject(call.bucketOf, call.key, {
    versionId: call.query.get('versionId'),
    bypass: call.headers['x-amz-bypass-governance-retention'] === 'true',
    nowMs: call.nowMs,
  })
  return emptyReply(204, headers)
}

export function putRetention(call: ObjectCall): S3Reply {
  const text = call.body.toString()
  if (call.headers['content-md5'] === undefined && checkedChecksum(call) === null) {
    throw badRequest('Missing required header for this request: Content-MD5 OR x-amz-checksum-*')
  }
  checkMd5(call)
  const retention = retentionOf(textIn(text, 'Mode'), textIn(text, 'RetainUntilDate'))
  if (retention === null) throw new S3Error(400, 'MalformedXML', 'The XML you provided was not well-formed')
  setRetention(call.bucketOf, versionOf(call.bucketOf, call.key, call.query.get('versionId')), {
    retention,
    bypass: call.headers['x-amz-bypass-governance-retention'] === 'true',
    nowMs: call.nowMs,
  })
  return emptyReply(200)
}

export function getRetention(call: ObjectCall): S3Reply {
  const { retention } = versionOf(call.bucketOf, call.key, call.query.get('versionId'))
  if (retention === null) {
    throw new S3Error(
      404,
      'NoSuchObjectLockConfiguration',
      'The specified object does not have a ObjectLock configuration',
    )
  }
  return xmlReply('Retention', [
    element('Mode', retention.mode),
    element('RetainUntilDate', new Date(retention.untilMs).toISOString()),
  ])
}

/** What the request's headers say about the object. */
export function factsGiven({ headers, bucketOf, nowMs }: ObjectCall): ObjectFactsGiven {
  const lock = retentionOf(
    textOf(headers['x-amz-object-lock-mode']),
    textOf(headers['x-amz-object-lock-retain-until-date']),
  )
  if (lock !== null && !bucketOf.objectLock) throw badRequest('Bucket is missing Object Lock Configuration')
  if (lock !== null && lock.untilMs <= nowMs) throw invalidArgument('The retain until date must be in the future!')
  const metadata = Object.entries(headers)
    .filter(([name]) => name.startsWith('x-amz-meta-'))
    .map(([name, value]) => [name.slice('x-amz-meta-'.length), String(value)])
  return {
    metadata: Object.fromEntries(metadata),
    contentType: headers['content-type'] ?? 'binary/octet-stream',
    encryption: encryptionOf(headers),
    retention: lock,
  }
}

function encryptionOf(headers: ObjectCall['headers']): Encryption {
  const algorithm = textOf(headers['x-amz-server-side-encryption'])
  const keyId = textOf(headers['x-amz-server-side-encryption-aws-kms-key-id'])
  if (algorithm === null && keyId !== null) {
    throw invalidArgument(
      'Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms',
    )
  }
  if (algorithm !== null && !['AES256', 'aws:kms'].includes(algorithm)) {
    throw invalidArgument('The encryption method specified is not supported')
  }
  if (algorithm === 'AES256' && keyId !== null) throw invalidArgument('The encryption method does not take a key id')
  return { algorithm: algorithm ?? 'AES256', keyId }
}

export function encryptionHeaders({ algorithm, keyId }: Encryption): Record<string, string> {
  const headers = { 'x-amz-server-side-encryption': algorithm }
  return keyId === null ? headers : { ...headers, 'x-amz-server-side-encryption-aws-kms-key-id': keyId }
}

/** Both or none. */
function retentionOf(mode: string | null, until: string | null): Retention | null {
  if (mode === null && until === null) return null
  if (mode === null || until === null) {
    throw invalidArgument('x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied')
  }
  if (mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') throw invalidArgument('Unknown wormMode directive.')
  const untilMs = Date.parse(until)
  if (Number.isNaN(untilMs)) throw invalidArgument('The retain until date must be provided in ISO 8601 format')
  return { mode, untilMs }
}

/** Verifies what the request gives. @returns null when it gives none */
export function checkedChecksum({ headers, body }: Pick<ObjectCall, 'headers' | 'body'>): Checksum | null {
  checkMd5({ headers, body })
  for (const name of Object.keys(headers)) {
    const known = ['x-amz-checksum-crc32', 'x-amz-checksum-sha256', 'x-amz-checksum-mode', 'x-amz-checksum-algorithm']
    if (name.startsWith('x-amz-checksum-') && ![...known, 'x-amz-checksum-type'].includes(name))
      throw notImplemented(name)
  }
  const crc = textOf(headers['x-amz-checksum-crc32'])
  const sha = textOf(headers['x-amz-checksum-sha256'])
  if (crc !== null && sha !== null) throw badRequest('Expecting a single x-amz-checksum- header. Multiple found')
  if (crc !== null) {
    const own = crc32Of(body)
    if (!/^[A-Za-z0-9+/]{6}==$/.test(crc)) throw badRequest('Value for x-amz-checksum-crc32 header is invalid.')
    if (crc !== own.value) throw badDigest('CRC32')
    return own
  }
  if (sha === null) return null
  const own = createHash('sha256').update(body).digest('base64')
  if (sha !== own) throw badDigest('SHA256')
  return { algorithm: 'SHA256', value: own, type: 'FULL_OBJECT' }
}

function checkMd5({ headers, body }: Pick<ObjectCall, 'headers' | 'body'>): void {
  const md5 = textOf(headers['content-md5'])
  if (md5 === null) return
  if (Buffer.from(md5, 'base64').byteLength !== 16) {
    throw new S3Error(400, 'InvalidDigest', 'The Content-MD5 you specified was invalid.')
  }
  if (md5 === createHash('md5').update(body).digest('base64')) return
  throw new S3Error(400, 'BadDigest', 'The Content-MD5 you specified did not match what we received.')
}

function badDigest(algorithm: string): S3Error {
  return new S3Error(400, 'BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`)
}

export function crc32Of(bytes: Buffer): Checksum {
  const word = Buffer.alloc(4)
  word.writeUInt32BE(crc32(bytes))
  return { algorithm: 'CRC32', value: word.toString('base64'), type: 'FULL_OBJECT' }
}

export function checksumHeaders({ checksum }: Pick<ObjectVersion, 'checksum'>): Record<string, string> {
  if (checksum === null) return {}
  return {
    [`x-amz-checksum-${checksum.algorithm.toLowerCase()}`]: checksum.value,
    'x-amz-checksum-type': checksum.type,
  }
}

export function versionHeaders(
  bucket: Bucket,
  { versionId }: Pick<ObjectVersion, 'versionId'>,
): Record<string, string> {
  return bucket.versioning === 'off' ? {} : { 'x-amz-version-id': versionId }
}

/** One range (RFC 9110, 14.1.2); null when there is none or it has no form that must be honoured. */
function rangeOf(text: string, sizeBytes: number): { readonly from: number; readonly to: number } | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(text)
  if (match === null || (match[1] === '' && match[2] === '')) return null
  const last = sizeBytes - 1
  const from = match[1] === '' ? Math.max(0, sizeBytes - Number(match[2])) : Number(match[1])
  const to = match[1] === '' || match[2] === '' ? last : Math.min(last, Number(match[2]))
  if (from <= to) return { from, to }
  throw new S3Error(416, 'InvalidRange', 'The requested range is not satisfiable', {
    headers: { 'content-range': `bytes */${sizeBytes}` },
    elements: { ActualObjectSize: String(sizeBytes), RangeRequested: text },
  })
}

export function textOf(value: string | readonly string[] | undefined): string | null {
  return typeof value === 'string' ? value : null
}
