// A restore point as one object: sealed when the candidate is made, opened and believed only when it is authentic.

import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { concatBytes, MiB, utf8Decode, utf8Encode } from '../base/bytes.ts'
import type { PointId } from '../model/ids.ts'
import type { PointBody } from '../model/point.ts'
import { canonicalJson } from '../wire/repository/canonical-json.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import {
  decodePointFrame,
  encodePointHead,
  envelopeJson,
  envelopeToJson,
  type StoredEnvelope,
} from '../wire/repository/point.ts'
import { pointBodyJson } from '../wire/repository/point-body.ts'
import { bytesOfHexExactly, tagBytes } from '../wire/repository/record-ref.ts'
import { formatName, formatVersion } from '../wire/repository/settings.ts'
import { checkClaim, checkDocument, kidOf, unprovenJson } from './authentic-json.ts'
import { deriveKey, masterOf, metaMac, type RepositoryKeys, sameMac } from './keys.ts'
import { openOnce, sealOnce } from './seal.ts'

export type StoredPoint = { readonly envelope: StoredEnvelope; readonly body: PointBody }

const bodyBytesMax = 64 * MiB

/** @throws BackupError `integrity` when a value does not fit the format */
export function sealPoint(keys: RepositoryKeys, point: StoredPoint): Uint8Array {
  const { envelope } = point
  const json = {
    format: formatName,
    version: formatVersion,
    required: [],
    document: 'point',
    ...envelopeToJson(envelope),
  }
  const envelopeBytes = utf8Encode(canonicalJson(json))
  const body = zstdCompressSync(utf8Encode(canonicalJson(point.body)), {
    params: { [constants.ZSTD_c_compressionLevel]: 3 },
  })
  const macked = concatBytes([encodePointHead(envelopeBytes.byteLength, body.byteLength + tagBytes), envelopeBytes])
  const bound = concatBytes([macked, metaMac(keys, { kid: envelope.kid, bytes: macked })])
  const object = concatBytes([bound, sealOnce({ key: pointKeyOf(keys, envelope), aad: bound }, body)])
  // What no reader can open is never stored: a candidate is written once and cannot be mended.
  openPoint(keys, object, `the restore point of VM "${envelope.vmId}" that was just sealed`)
  return object
}

/** @throws BackupError `integrity`, `repository-version`, `repository-key` */
export function openPoint(keys: RepositoryKeys, object: Uint8Array, what: string): StoredPoint {
  const { frame, envelope } = openFrame(keys, object, what)
  const packed = openOnce({ key: pointKeyOf(keys, envelope), aad: frame.bound, what }, frame.body)
  const json: unknown = JSON.parse(utf8Decode(zstdDecompressSync(packed, { maxOutputLength: bodyBytesMax })))
  const body = pointBodyJson.safeParse(json)
  if (!body.success) {
    const issue = body.error.issues[0]
    throw corrupt(`Cannot read ${what}: "${issue?.path.join('.')}" of its body does not fit: ${issue?.message}`)
  }
  return { envelope, body: body.data }
}

/** The envelope alone: authentic, the body unopened. */
export function openEnvelope(keys: RepositoryKeys, object: Uint8Array, what: string): StoredEnvelope {
  return openFrame(keys, object, what).envelope
}

function openFrame(keys: RepositoryKeys, object: Uint8Array, what: string) {
  const frame = decodePointFrame(object)
  const json = unprovenJson(frame.envelope, what)
  const kid = kidOf(json, what)
  if (!sameMac(frame.mac, metaMac(keys, { kid, bytes: frame.macked })))
    throw corrupt(`Cannot trust ${what}: its MAC does not fit`)
  checkClaim({ version: frame.version, required: [] }, what)
  checkDocument(json, { kind: 'point', what })
  const parsed = envelopeJson.safeParse(json)
  if (!parsed.success)
    throw corrupt(`Cannot read ${what}: ${parsed.error.issues[0]?.message ?? 'its envelope does not fit'}`)
  const envelope = parsed.data
  if (envelope.repositoryId !== keys.repositoryId) {
    throw corrupt(`Cannot read ${what}: it is of repository "${envelope.repositoryId}"`)
  }
  return { frame, envelope }
}

function pointKeyOf(keys: RepositoryKeys, point: { readonly kid: string; readonly pointId: PointId }): Uint8Array {
  return deriveKey(masterOf(keys, point.kid), { salt: bytesOfHexExactly(point.pointId, 16), label: 'vmb1/rp' })
}
