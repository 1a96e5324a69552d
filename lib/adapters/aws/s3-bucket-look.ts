// Looks at how a bucket is set up, as far as it may. What it may not see it says, and never takes for good or bad.

import type { Cancel } from '../../base/time-limit.ts'
import { deniesPlainHttp, parseS3Field } from '../../wire/s3-documents.ts'
import type { S3Client } from './s3-client.ts'
import { readUpTo } from './s3-connection.ts'

export type BucketFinding = {
  readonly id: 'versioning' | 'object-lock' | 'public-access' | 'tls-only'
  /** 'unseen': the credentials may not look, or the store does not know it. */
  readonly verdict: 'ok' | 'warning' | 'unseen'
  /** Of what was found: what an operator reads. */
  readonly found: string
  readonly next: string | null
}

const DOCUMENT_BYTES_MAX = 256 * 1024

/** What S3 says of one setting: its document, that there is none, or why it does not say. */
type Told =
  | { readonly kind: 'set'; readonly bytes: Uint8Array }
  | { readonly kind: 'unset' }
  | { readonly kind: 'unseen'; readonly why: string }

/** @throws what the client throws where S3 neither answers nor refuses: no bucket, wrong region, no network */
export async function lookAtBucket(client: S3Client, cancel: Cancel): Promise<readonly BucketFinding[]> {
  return [
    versioning(await told(client, { query: 'versioning', right: 's3:GetBucketVersioning' }, cancel)),
    objectLock(await told(client, { query: 'object-lock', right: 's3:GetBucketObjectLockConfiguration' }, cancel)),
    publicAccess(await told(client, { query: 'publicAccessBlock', right: 's3:GetBucketPublicAccessBlock' }, cancel)),
    tlsOnly(await told(client, { query: 'policy', right: 's3:GetBucketPolicy' }, cancel)),
  ]
}

async function told(
  client: S3Client,
  { query, right }: { readonly query: string; readonly right: string },
  cancel: Cancel,
): Promise<Told> {
  const result = await client.call(
    { method: 'GET', key: null, query: { [query]: '' }, headers: {}, body: null },
    {
      doing: `Cannot look at bucket "${client.bucket}"`,
      read: (reply) => readUpTo(reply, DOCUMENT_BYTES_MAX),
      // Wrong keys, a wrong clock and a missing bucket are faults of everything, not of this look.
      expects: ({ status, code }) =>
        code === 'AccessDenied' || status === 501 || (status === 404 && code !== 'NoSuchBucket' && code !== ''),
    },
    cancel,
  )
  if (result.kind === 'done') return { kind: 'set', bytes: result.value }
  const { status } = result.failure
  if (status === 404) return { kind: 'unset' }
  return { kind: 'unseen', why: status === 501 ? 'this store does not tell it' : `${right} is needed to see it` }
}

function versioning(setting: Told): BucketFinding {
  const id = 'versioning'
  if (setting.kind === 'unseen') return unseen(id, setting.why)
  const status = setting.kind === 'set' ? parseS3Field(setting.bytes, 'Status') : null
  if (status === 'Enabled') return { id, verdict: 'ok', found: 'versions are kept', next: null }
  const found = status === null ? 'versions are not kept' : `versioning is "${status}"`
  return { id, verdict: 'warning', found, next: 'Turn versioning on: what is deleted or put over is then still there' }
}

function objectLock(setting: Told): BucketFinding {
  const id = 'object-lock'
  if (setting.kind === 'unseen') return unseen(id, setting.why)
  if (setting.kind === 'set' && parseS3Field(setting.bytes, 'ObjectLockEnabled') === 'Enabled') {
    return { id, verdict: 'ok', found: 'Object Lock is enabled', next: null }
  }
  const next = 'Use a bucket with Object Lock if backups must outlive stolen credentials, and set COLDFRAME_OBJECT_LOCK'
  return { id, verdict: 'warning', found: 'Object Lock is not enabled', next }
}

function publicAccess(setting: Told): BucketFinding {
  const id = 'public-access'
  if (setting.kind === 'unseen') return unseen(id, setting.why)
  const names = ['BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets']
  const open = setting.kind === 'set' ? names.filter((name) => parseS3Field(setting.bytes, name) !== 'true') : names
  if (open.length === 0) return { id, verdict: 'ok', found: 'public access is blocked', next: null }
  const found = `public access is not blocked (${open.join(', ')})`
  return {
    id,
    verdict: 'warning',
    found,
    next: 'Block public access of the bucket; what is stored is encrypted all the same',
  }
}

function tlsOnly(setting: Told): BucketFinding {
  const id = 'tls-only'
  if (setting.kind === 'unseen') return unseen(id, setting.why)
  if (setting.kind === 'set' && deniesPlainHttp(setting.bytes)) {
    return { id, verdict: 'ok', found: 'requests without TLS are denied', next: null }
  }
  const next = 'Add a statement to the bucket policy that denies requests with "aws:SecureTransport": "false"'
  return { id, verdict: 'warning', found: 'requests without TLS are not denied', next }
}

function unseen(id: BucketFinding['id'], why: string): BucketFinding {
  return { id, verdict: 'unseen', found: `not seen: ${why}`, next: null }
}
