// Multipart uploads of the S3 server of the tests (S3 User Guide, "Uploading and copying objects using multipart upload").

import { createHash, randomUUID } from 'node:crypto'
import { crc32 } from 'node:zlib'
import {
  checkedChecksum,
  checksumHeaders,
  crc32Of,
  encryptionHeaders,
  factsGiven,
  type ObjectCall,
  refuseExisting,
  textOf,
  versionHeaders,
} from './s3-server-objects.ts'
import {
  badRequest,
  element,
  elementsIn,
  emptyReply,
  invalidArgument,
  notImplemented,
  S3Error,
  type S3Reply,
  textIn,
  xmlReply,
} from './s3-server-replies.ts'
import { addVersion, type Checksum, type Upload } from './s3-server-state.ts'

const PARTS_MAX = 10_000

export function createUpload(call: ObjectCall): S3Reply {
  const algorithm = textOf(call.headers['x-amz-checksum-algorithm'])
  if (algorithm !== null && algorithm !== 'CRC32') throw notImplemented(`x-amz-checksum-algorithm: ${algorithm}`)
  const type = textOf(call.headers['x-amz-checksum-type'])
  if (type !== null && type !== 'FULL_OBJECT' && type !== 'COMPOSITE') throw invalidArgument('Unknown checksum type')
  const uploadId = randomUUID()
  const facts = factsGiven(call)
  const checksumType = algorithm === null ? null : (type ?? 'COMPOSITE')
  call.bucketOf.uploads.set(uploadId, { key: call.key, facts, checksumType, parts: new Map() })
  return xmlReply(
    'InitiateMultipartUploadResult',
    [element('Bucket', call.bucket), element('Key', call.key), element('UploadId', uploadId)],
    encryptionHeaders(facts.encryption),
  )
}

export function uploadPart(call: ObjectCall): S3Reply {
  const upload = uploadOf(call)
  const number = Number(call.query.get('partNumber'))
  if (!Number.isInteger(number) || number < 1 || number > PARTS_MAX) {
    throw invalidArgument('Part number must be an integer between 1 and 10000, inclusive')
  }
  const checksum = checkedChecksum(call)
  if (upload.checksumType !== null && checksum === null) {
    throw badRequest('The upload was created with the CRC32 checksum mode: each part needs x-amz-checksum-crc32')
  }
  const etag = `"${createHash('md5').update(call.body).digest('hex')}"`
  upload.parts.set(number, { bytes: call.body, etag, checksum })
  return emptyReply(200, { etag, ...checksumHeaders({ checksum }) })
}

/** @param limits the least size of every part but the last */
export function completeUpload(call: ObjectCall, limits: { readonly partBytesMin: number }): S3Reply {
  const upload = uploadOf(call)
  const named = elementsIn(call.body.toString(), 'Part')
  if (named.length === 0) throw new S3Error(400, 'MalformedXML', 'You must specify at least one part')
  let before = 0
  const parts = named.map((xml) => {
    const number = Number(textIn(xml, 'PartNumber'))
    if (!(number > before)) throw new S3Error(400, 'InvalidPartOrder', 'The list of parts was not in ascending order.')
    before = number
    const part = upload.parts.get(number)
    const crc = textIn(xml, 'ChecksumCRC32')
    const etag = textIn(xml, 'ETag')?.replaceAll('"', '')
    const same = part !== undefined && part.etag.replaceAll('"', '') === etag
    if (part === undefined || !same || (crc !== null && crc !== part.checksum?.value)) {
      throw new S3Error(400, 'InvalidPart', 'One or more of the specified parts could not be found.', {
        elements: { PartNumber: String(number) },
      })
    }
    if (upload.checksumType === 'COMPOSITE' && crc === null) {
      throw badRequest(
        'The upload was created using a crc32 checksum. The complete request must include it for each part.',
      )
    }
    return part
  })
  if (parts.slice(0, -1).some(({ bytes }) => bytes.byteLength < limits.partBytesMin)) {
    throw new S3Error(400, 'EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size')
  }
  refuseExisting(call)
  const bytes = Buffer.concat(parts.map((part) => part.bytes))
  const checksum = checksumOfParts(upload, { parts, bytes })
  const whole = textOf(call.headers['x-amz-checksum-crc32'])
  if (whole !== null && whole !== crc32Of(bytes).value) {
    throw new S3Error(400, 'BadDigest', 'The CRC32 you specified did not match the calculated checksum.')
  }
  const md5s = Buffer.concat(parts.map(({ etag }) => Buffer.from(etag.replaceAll('"', ''), 'hex')))
  const etag = `"${createHash('md5').update(md5s).digest('hex')}-${parts.length}"`
  const kept = { kind: 'object', bytes, etag, modifiedMs: call.nowMs, checksum, ...upload.facts } as const
  const version = addVersion(call.bucketOf, call.key, kept)
  call.bucketOf.uploads.delete(call.query.get('uploadId') ?? '')
  const content = [
    element('Bucket', call.bucket),
    element('Key', call.key),
    element('ETag', version.etag),
    ...(checksum === null ? [] : [element('ChecksumCRC32', checksum.value), element('ChecksumType', checksum.type)]),
  ]
  return xmlReply('CompleteMultipartUploadResult', content, versionHeaders(call.bucketOf, version))
}

export function abortUpload(call: ObjectCall): S3Reply {
  uploadOf(call)
  call.bucketOf.uploads.delete(call.query.get('uploadId') ?? '')
  return emptyReply(204)
}

export function listParts(call: ObjectCall): S3Reply {
  const upload = uploadOf(call)
  const most = Number(call.query.get('max-parts') ?? 1000)
  const after = Number(call.query.get('part-number-marker') ?? 0)
  const numbers = [...upload.parts.keys()].filter((number) => number > after).toSorted((a, b) => a - b)
  const page = numbers.slice(0, most)
  const rows = page.map((number) => {
    const part = upload.parts.get(number)
    return element('Part', [
      element('PartNumber', String(number)),
      element('ETag', part?.etag ?? ''),
      element('Size', String(part?.bytes.byteLength ?? 0)),
      ...(part?.checksum === null || part === undefined ? [] : [element('ChecksumCRC32', part.checksum.value)]),
    ])
  })
  return xmlReply('ListPartsResult', [
    element('Bucket', call.bucket),
    element('Key', call.key),
    element('UploadId', call.query.get('uploadId') ?? ''),
    element('MaxParts', String(most)),
    element('IsTruncated', String(page.length < numbers.length)),
    ...(page.length < numbers.length ? [element('NextPartNumberMarker', String(page.at(-1)))] : []),
    ...rows,
  ])
}

function checksumOfParts(
  upload: Upload,
  of: { readonly parts: readonly { readonly checksum: Checksum | null }[]; readonly bytes: Buffer },
): Checksum | null {
  if (upload.checksumType === null) return null
  if (upload.checksumType === 'FULL_OBJECT') return crc32Of(of.bytes)
  const words = Buffer.concat(of.parts.map(({ checksum }) => Buffer.from(checksum?.value ?? '', 'base64')))
  const word = Buffer.alloc(4)
  word.writeUInt32BE(crc32(words))
  return { algorithm: 'CRC32', value: `${word.toString('base64')}-${of.parts.length}`, type: 'COMPOSITE' }
}

function uploadOf(call: ObjectCall): Upload {
  const upload = call.bucketOf.uploads.get(call.query.get('uploadId') ?? '')
  if (upload !== undefined && upload.key === call.key) return upload
  throw new S3Error(404, 'NoSuchUpload', 'The specified multipart upload does not exist.')
}
