// What the S3 server of the tests keeps: buckets, versions of objects, retention. In memory.

import { createHash } from 'node:crypto'
import { badRequest, invalidArgument, S3Error } from './s3-server-replies.ts'

export type Retention = { readonly mode: 'GOVERNANCE' | 'COMPLIANCE'; readonly untilMs: number }

export type Checksum = {
  readonly algorithm: 'CRC32' | 'SHA256'
  /** Base64; of a composite one with "-N". */
  readonly value: string
  readonly type: 'FULL_OBJECT' | 'COMPOSITE'
}

export type Encryption = { readonly algorithm: string; readonly keyId: string | null }

export type ObjectVersion = {
  /** 'null' in a bucket without versioning. */
  readonly versionId: string
  readonly kind: 'object' | 'marker'
  readonly bytes: Buffer
  /** With its quotes. */
  readonly etag: string
  readonly modifiedMs: number
  readonly checksum: Checksum | null
  readonly metadata: Readonly<Record<string, string>>
  readonly contentType: string
  readonly encryption: Encryption
  retention: Retention | null
}

export type Upload = {
  readonly key: string
  readonly facts: ObjectFactsGiven
  readonly checksumType: 'FULL_OBJECT' | 'COMPOSITE' | null
  readonly parts: Map<number, { readonly bytes: Buffer; readonly etag: string; readonly checksum: Checksum | null }>
}

/** What a writer says about an object beside its bytes. */
export type ObjectFactsGiven = Pick<ObjectVersion, 'metadata' | 'contentType' | 'encryption' | 'retention'>

export type Bucket = {
  readonly name: string
  versioning: 'off' | 'Enabled' | 'Suspended'
  objectLock: boolean
  publicAccessBlocked: boolean
  /** JSON, as it was put. */
  policy: string | null
  /** Newest first. */
  readonly objects: Map<string, ObjectVersion[]>
  readonly uploads: Map<string, Upload>
}

export function newBucket(name: string, { objectLock }: { readonly objectLock: boolean }): Bucket {
  return {
    name,
    versioning: objectLock ? 'Enabled' : 'off',
    objectLock,
    publicAccessBlocked: true,
    policy: null,
    objects: new Map(),
    uploads: new Map(),
  }
}

let versions = 0

/** Puts a version on top, as the bucket's versioning says. */
export function addVersion(
  bucket: Bucket,
  key: string,
  version: Omit<ObjectVersion, 'versionId' | 'etag'> & { readonly etag?: string },
): ObjectVersion {
  const versionId = bucket.versioning === 'Enabled' ? `v${String(++versions).padStart(8, '0')}.${bucket.name}` : 'null'
  const etag = version.etag ?? `"${createHash('md5').update(version.bytes).digest('hex')}"`
  const added = { ...version, versionId, etag }
  const before = (bucket.objects.get(key) ?? []).filter((other) => versionId !== 'null' || other.versionId !== 'null')
  bucket.objects.set(key, [added, ...before])
  return added
}

/** The version that a reader without a version id gets; null when there is none or a delete marker hides it. */
export function currentOf(bucket: Bucket, key: string): ObjectVersion | null {
  const top = bucket.objects.get(key)?.[0]
  return top === undefined || top.kind === 'marker' ? null : top
}

/** @throws S3Error NoSuchKey, NoSuchVersion, MethodNotAllowed (a marker asked for by its id) */
export function versionOf(bucket: Bucket, key: string, versionId: string | undefined): ObjectVersion {
  const all = bucket.objects.get(key) ?? []
  if (versionId !== undefined) {
    const version = all.find((one) => one.versionId === versionId)
    if (version === undefined) {
      throw new S3Error(404, 'NoSuchVersion', 'The specified version does not exist.', { elements: { Key: key } })
    }
    if (version.kind === 'marker') {
      const headers = { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.versionId }
      throw new S3Error(405, 'MethodNotAllowed', 'The specified method is not allowed against this resource.', {
        headers,
      })
    }
    return version
  }
  const top = all[0]
  if (top?.kind === 'object') return top
  const headers: Record<string, string> =
    top === undefined ? {} : { 'x-amz-delete-marker': 'true', 'x-amz-version-id': top.versionId }
  throw new S3Error(404, 'NoSuchKey', 'The specified key does not exist.', { headers, elements: { Key: key } })
}

/**
 * Deletes as S3 does: without a version id a marker is put on top where versions are kept; with one that version goes.
 * @returns the headers of the answer
 */
export function deleteObject(
  bucket: Bucket,
  key: string,
  how: { readonly versionId: string | undefined; readonly bypass: boolean; readonly nowMs: number },
): Record<string, string> {
  const all = bucket.objects.get(key) ?? []
  if (how.versionId === undefined) {
    if (bucket.versioning === 'off') {
      bucket.objects.delete(key)
      return {}
    }
    const facts = { metadata: {}, contentType: '', encryption: { algorithm: 'AES256', keyId: null }, retention: null }
    const marker = { kind: 'marker', bytes: Buffer.alloc(0), modifiedMs: how.nowMs, checksum: null, ...facts } as const
    const { versionId } = addVersion(bucket, key, marker)
    return { 'x-amz-delete-marker': 'true', 'x-amz-version-id': versionId }
  }
  const version = all.find((one) => one.versionId === how.versionId)
  if (version === undefined) return { 'x-amz-version-id': how.versionId }
  if (version.retention !== null && version.retention.untilMs > how.nowMs) {
    if (version.retention.mode === 'COMPLIANCE' || !how.bypass) throw locked()
  }
  const rest = all.filter((one) => one !== version)
  if (rest.length === 0) bucket.objects.delete(key)
  else bucket.objects.set(key, rest)
  const headers = { 'x-amz-version-id': version.versionId }
  return version.kind === 'marker' ? { ...headers, 'x-amz-delete-marker': 'true' } : headers
}

/** Longer is always allowed; shorter or weaker only without a lock, or where governance is bypassed. */
export function setRetention(
  bucket: Bucket,
  version: ObjectVersion,
  how: { readonly retention: Retention; readonly bypass: boolean; readonly nowMs: number },
): void {
  if (!bucket.objectLock) throw badRequest('Bucket is missing Object Lock Configuration')
  const { retention: before } = version
  if (how.retention.untilMs <= how.nowMs) throw invalidArgument('The retain until date must be in the future!')
  const held = before !== null && before.untilMs > how.nowMs
  const weaker = held && (how.retention.untilMs < before.untilMs || how.retention.mode !== before.mode)
  if (weaker && (before.mode === 'COMPLIANCE' || !how.bypass)) throw locked()
  version.retention = how.retention
}

function locked(): S3Error {
  return new S3Error(403, 'AccessDenied', 'Access Denied because object protected by object lock.')
}
