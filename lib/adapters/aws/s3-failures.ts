// What S3 refuses, and what that means: what may pass by itself, what leaves it open whether a write happened, and what an
// operator is told (S3 API Reference, "Error responses").

import { BackupError, messageOf } from '../../base/errors.ts'

/** An answer of S3 that is no success. */
export type S3Failure = {
  readonly kind: 'answer'
  readonly status: number
  /** S3's word, such as "SlowDown"; of answers without a body "" */
  readonly code: string
  readonly message: string
  /** The bucket's region, where S3 says it. */
  readonly region: string | null
  /** The newest version of the key is the mark that it was deleted. */
  readonly deleted: boolean
  /** S3's own clock. */
  readonly date: string | null
  /** Size of the object, from the answer to a range outside it. */
  readonly sizeBytes: number | null
}

/** No answer at all, or half of one. */
export type S3Loss = { readonly kind: 'loss'; readonly cause: unknown; readonly why: string }

export type S3Place = { readonly bucket: string; readonly region: string; readonly endpoint: string }

const passing = new Set([
  'SlowDown',
  'RequestTimeout',
  'InternalError',
  'ServiceUnavailable',
  'Throttling',
  'ThrottlingException',
  'RequestThrottled',
  'RequestLimitExceeded',
  'ConditionalRequestConflict',
  'OperationAborted',
  // The bytes were damaged or cut on their way.
  'BadDigest',
  'IncompleteBody',
  'XAmzContentChecksumMismatch',
])
const passingStatuses = new Set([408, 429, 500, 502, 503, 504])
const refusedLogins = new Set(['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'TokenRefreshRequired'])
const trustFaults = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH)/

export function mayPass(failure: S3Failure | S3Loss): boolean {
  if (failure.kind === 'loss') return !isDistrusted(failure)
  return passing.has(failure.code) || passingStatuses.has(failure.status)
}

/** Whether a write that failed so may have happened all the same. */
export function isDoubtful(failure: S3Failure | S3Loss): boolean {
  return failure.kind === 'loss' || passingStatuses.has(failure.status) || failure.code === 'RequestTimeout'
}

/** Credentials that ended: new ones may do. */
export function isExpired(failure: S3Failure | S3Loss): boolean {
  return failure.kind === 'answer' && ['ExpiredToken', 'TokenRefreshRequired'].includes(failure.code)
}

/**
 * The error that a caller gets. A refusal is never an absence.
 * @param doing "Cannot read object "x""
 */
export function s3Error(
  doing: string,
  failure: S3Failure | S3Loss,
  at: S3Place & { readonly key: string | null; readonly attempts: number; readonly nowMs: number },
): BackupError {
  const { bucket, region, endpoint, key, attempts } = at
  const where = { bucket, key, region, endpoint }
  if (failure.kind === 'loss') return lossError(doing, failure, at)
  const { status, code } = failure
  const facts = { ...where, status, code, attempts }
  const said = `S3 says ${code === '' ? `status ${status}` : `"${code}"`}${failure.message === '' ? '' : `: ${failure.message}`}`
  const named = failure.region
  if (named !== null && named !== region) {
    return new BackupError(`${doing}: bucket "${bucket}" is in region "${named}", not in "${region}"`, {
      code: 's3-region',
      kind: 'usage',
      hint: `Set AWS_REGION to "${named}"`,
      facts: { ...facts, bucketRegion: named },
    })
  }
  if (code === 'RequestTimeTooSkewed') return skewError(doing, { failure, facts, nowMs: at.nowMs })
  if (code === 'NoSuchBucket') {
    return new BackupError(`${doing}: there is no bucket "${bucket}"`, {
      code: 's3-bucket-missing',
      kind: 'not-found',
      hint: 'Check the name of the bucket in COLDFRAME_REPOSITORY, and the account of the credentials',
      facts,
    })
  }
  if (code === 'InvalidObjectState') {
    return new BackupError(`${doing}: it was moved to an archive class, from which S3 does not read at once`, {
      code: 'object-archived',
      hint: 'Restore the object from its archive class, and let the lifecycle leave the prefixes of the repository alone',
      facts,
    })
  }
  if (status === 401 || status === 403 || refusedLogins.has(code) || isExpired(failure) || code.startsWith('KMS.')) {
    return new BackupError(`${doing}: ${said}`, {
      code: 'object-refused',
      kind: 'refused',
      hint: refusalHint(code, at),
      facts,
    })
  }
  const later = mayPass(failure)
  const times = attempts > 1 ? ` (tried ${attempts} times)` : ''
  return new BackupError(`${doing}: ${said}${times}`, {
    code: status === 501 ? 's3-not-supported' : 'store-failed',
    retry: later ? 'later' : 'no',
    facts,
  })
}

function lossError(
  doing: string,
  { cause, why }: S3Loss,
  at: S3Place & { readonly key: string | null; readonly attempts: number },
): BackupError {
  const { bucket, region, endpoint, key, attempts } = at
  const facts = { bucket, key, region, endpoint, attempts }
  if (isDistrusted({ cause })) {
    return new BackupError(`${doing}: the certificate of "${endpoint}" is not trusted: ${why}`, {
      code: 'store-refused',
      kind: 'refused',
      hint: 'Check AWS_ENDPOINT_URL_S3; certificate authorities of your own are named by NODE_EXTRA_CA_CERTS',
      facts,
      cause,
    })
  }
  const times = attempts > 1 ? ` (tried ${attempts} times)` : ''
  return new BackupError(`${doing}: no whole answer of "${endpoint}": ${why}${times}`, {
    code: 'store-failed',
    retry: 'later',
    hint: 'Check network, name resolution and region; what is stored already is not touched',
    facts,
    cause,
  })
}

function skewError(
  doing: string,
  of: {
    readonly failure: S3Failure
    readonly facts: Readonly<Record<string, string | number | null>>
    readonly nowMs: number
  },
): BackupError {
  const own = new Date(of.nowMs).toISOString()
  const theirs = of.failure.date === null ? 'another time' : new Date(of.failure.date).toISOString()
  return new BackupError(`${doing}: the clock of this machine is wrong: it says "${own}", S3 says "${theirs}"`, {
    code: 'clock-skew',
    kind: 'refused',
    hint: 'Set the clock (S3 takes 15 minutes of difference), and let it be kept by NTP',
    facts: { ...of.facts, ownTime: own, storeTime: theirs },
  })
}

function refusalHint(code: string, { bucket, key }: { readonly bucket: string; readonly key: string | null }): string {
  if (refusedLogins.has(code)) return 'Check the access key, its secret and its session token'
  if (code === 'ExpiredToken') return 'The credentials have ended: log in again, or give a role that renews them'
  if (code.startsWith('KMS.')) return 'Check the key that encrypts the bucket, and that it may be used'
  const needed = 'Needed are s3:GetObject, s3:PutObject, and s3:ListBucket and s3:ListBucketVersions of the bucket'
  const object = key === null ? '' : `; without s3:ListBucket, S3 says the same of a key that is not there ("${key}")`
  return `${needed} "${bucket}"${object}`
}

function isDistrusted({ cause }: { readonly cause: unknown }): boolean {
  return trustFaults.test(errnoOf(cause))
}

export function lossOf(error: unknown): S3Loss {
  const errno = errnoOf(error)
  const message = messageOf(error)
  return { kind: 'loss', cause: error, why: message.includes(errno) ? message : `${message} (${errno})` }
}

function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
