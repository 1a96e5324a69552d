// How every adapter of an AWS service calls it: in bounded time, again when that may help, and with its errors in our words.
// The SDK itself tries once: whoever repeats a write must know that it was repeated.

import type { Clock } from '../../base/clock.ts'
import { BackupError, messageOf } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { retry } from '../../base/retry.ts'
import { type Cancel, isAbort, withTimeLimit } from '../../base/time-limit.ts'

/** For the constructor of every SDK client: connections are kept, and neither a connect nor a request hangs. */
export const clientSettings = {
  maxAttempts: 1,
  requestHandler: {
    connectionTimeout: 2_000,
    requestTimeout: 20_000,
    throwOnRequestTimeout: true,
    httpsAgent: { keepAlive: true, maxSockets: 50 },
    httpAgent: { keepAlive: true, maxSockets: 50 },
  },
} as const

export type CallOptions = {
  readonly clock: Clock
  readonly random: Random
  /** What is talked to, after "Cannot …": 'write record "job#…" of table "…"'. */
  readonly what: string
  /** The longest that one try may take. */
  readonly tryMs?: number
  readonly attemptsMax?: number
  /** Other errors of this service that pass by themselves. */
  readonly passing?: (error: unknown) => boolean
}

/** One try, from 1. Its signal ends with the caller's or with the try's time. */
export type Try = { readonly attempt: number; readonly abortSignal: AbortSignal }

/**
 * Calls until there is an answer, at most `attemptsMax` times (8), with full jitter between: from 50 ms to 2 s.
 * After a try without an answer the service may have done what was asked all the same.
 * @throws what isAnswer() calls one, as it is; else BackupError `aws-unavailable` (retry later), `aws-refused`, `aws-failed`
 */
export async function call<Result>(
  act: (one: Try) => Promise<Result>,
  options: CallOptions,
  { signal }: Cancel,
): Promise<Result> {
  const { clock, random, tryMs = 10_000, attemptsMax = 8, passing = () => false } = options
  try {
    return await retry((attempt) => act({ attempt, abortSignal: withTimeLimit(signal, tryMs) }), {
      attemptsMax,
      firstMs: 50,
      mostMs: 2_000,
      clock,
      random,
      signal,
      retryable: (error) => mayPass(error) || passing(error),
    })
  } catch (error) {
    signal.throwIfAborted()
    throw translated(error, options)
  }
}

/** The SDK's name of an error, for example "ConditionalCheckFailedException"; '' where it is none. */
export function errorName(error: unknown): string {
  return error instanceof Error ? error.name : ''
}

function translated(error: unknown, { what, passing }: CallOptions): unknown {
  if (error instanceof BackupError || !isOfSdk(error)) return error
  const name = errorName(error)
  const facts = { error: name, status: statusOf(error) ?? null }
  const text = `Cannot ${what}: ${name === 'Error' ? '' : `${name}, `}${messageOf(error) || 'no reason given'}`
  if (mayPass(error) || passing?.(error) === true) {
    return new BackupError(text, {
      code: 'aws-unavailable',
      retry: 'later',
      hint: 'It is tried again; the AWS health dashboard and the service quotas tell more if it lasts',
      facts,
      cause: error,
    })
  }
  if (REFUSALS.has(name) || statusOf(error) === 403) {
    return new BackupError(text, {
      code: 'aws-refused',
      kind: 'refused',
      hint: 'Deploy the stack again, so that the role of this function has its policy; look for a boundary or SCP that denies it',
      facts,
      cause: error,
    })
  }
  return new BackupError(text, { code: 'aws-failed', facts, cause: error })
}

// AWS general reference, "Common errors"; and those of the services that we use.
const REFUSALS: ReadonlySet<string> = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'NotAuthorized',
  'OptInRequired',
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'IncompleteSignature',
  'InvalidSignatureException',
  'MissingAuthenticationToken',
  'KMS.AccessDeniedException',
])

const PASSING: ReadonlySet<string> = new Set([
  'BandwidthLimitExceeded',
  'EC2ThrottledException',
  'InternalError',
  'InternalFailure',
  'InternalServerError',
  'LimitExceededException.Throttling',
  'PriorRequestNotComplete',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'RequestTimeout',
  'RequestTimeoutException',
  'ServiceUnavailable',
  'ServiceUnavailableException',
  'SlowDown',
  'ThrottledException',
  'Throttling',
  'ThrottlingException',
  'TimeoutError',
  'TooManyRequestsException',
  // The SDK learns the service's time and the next credentials from such a refusal.
  'ExpiredToken',
  'ExpiredTokenException',
  'RequestExpired',
  'RequestInTheFuture',
  'RequestTimeTooSkewed',
])

const NETWORK: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
])

function mayPass(error: unknown): boolean {
  const status = statusOf(error) ?? 0
  return (
    PASSING.has(errorName(error)) || NETWORK.has(codeOf(error)) || isAbort(error) || status === 429 || status >= 500
  )
}

function isOfSdk(error: unknown): boolean {
  return (
    (error instanceof Error && '$metadata' in error) ||
    NETWORK.has(codeOf(error)) ||
    isAbort(error) ||
    isOfCredentials(error)
  )
}

function isOfCredentials(error: unknown): boolean {
  return errorName(error) === 'CredentialsProviderError'
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('$metadata' in error)) return undefined
  const metadata = error.$metadata
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
