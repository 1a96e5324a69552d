// How this project calls AWS: one try a call of the SDK, our own bounded retries with full jitter, and errors translated once.

import { NodeHttpHandler } from '@smithy/node-http-handler'
import type { Clock } from '../../base/clock.ts'
import { BackupError, messageOf } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { retry } from '../../base/retry.ts'
import type { Cancel } from '../../base/time-limit.ts'

/** Where to call and as whom: what is left out the SDK finds in the environment. */
export type AwsPlace = {
  readonly endpoint?: string
  readonly region?: string
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
}

export type AwsPatience = {
  readonly clock: Clock
  readonly random: Random
  /** For calls that answer sooner, or that are worth more tries, than most. */
  readonly tries?: { readonly attemptsMax: number; readonly firstMs: number; readonly mostMs: number }
}

const CONNECT_MS = 3_000
/** The longest that one try may take: none of the calls made here answers slowly. */
const ANSWER_MS = 20_000
const TRIES = { attemptsMax: 5, firstMs: 100, mostMs: 5_000 }

/** What every client is made with: it keeps its connections, tries once, and neither a connect nor an answer hangs. */
export function clientSettings(
  { endpoint, region, credentials }: AwsPlace,
  { answerMs = ANSWER_MS }: { readonly answerMs?: number } = {},
) {
  const requestHandler = new NodeHttpHandler({
    connectionTimeout: CONNECT_MS,
    requestTimeout: answerMs,
    throwOnRequestTimeout: true,
  })
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials }),
    ...{ maxAttempts: 1, requestHandler },
  }
}

/**
 * Makes one call, again while it fails in a way that AWS says may pass. It must be one that can be repeated.
 * @param call.what in words, after "Cannot"
 * @param call.translate the error that this code of the API means, for codes that mean more than a failure
 * @throws BackupError `aws-unreachable` (retry later), `aws-refused` (kind refused), `aws-failed`; what `translate` gives
 */
export async function callAws<Answer>(
  call: {
    readonly what: string
    /** @param attempt from 1: a call that is made again may have been carried out before, with its answer lost */
    readonly send: (cancel: { readonly abortSignal: AbortSignal }, attempt: number) => Promise<Answer>
    readonly translate?: (code: string, error: unknown) => BackupError | null
  },
  { clock, random, tries = TRIES }: AwsPatience,
  { signal }: Cancel,
): Promise<Answer> {
  signal.throwIfAborted()
  try {
    return await retry((attempt) => call.send({ abortSignal: signal }, attempt), {
      ...{ ...tries, clock, random, signal },
      retryable: mayPass,
    })
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof BackupError) throw error
    throw call.translate?.(codeOf(error), error) ?? failure(call.what, error)
  }
}

/** One entry of a call that succeeded as a whole. */
export class EntryRefused extends Error {
  override readonly name: string
  constructor(code: string, message: string) {
    super(message)
    this.name = code
  }
}

/** The API's own name of an error, for example "ThrottlingException"; of the network's, its code. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const code = of(error, 'code')
  return error.name === 'Error' && typeof code === 'string' ? code : error.name
}

/** Whether AWS, or the network on the way to it, says that the same call may succeed later. */
export function mayPass(error: unknown): boolean {
  if (PASSING.has(codeOf(error)) || of(error, '$retryable') !== undefined) return true
  const status = of(of(error, '$metadata'), 'httpStatusCode')
  if (typeof status === 'number') return status === 429 || status >= 500
  return NETWORK.has(String(of(error, 'code')))
}

function of(value: unknown, property: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, property) : undefined
}

const PASSING = new Set([
  ...['Throttling', 'ThrottlingException', 'ThrottledException', 'RequestThrottledException', 'RequestLimitExceeded'],
  ...['TooManyRequestsException', 'ProvisionedThroughputExceededException', 'TransactionInProgressException'],
  ...['TimeoutError', 'RequestTimeout', 'RequestTimeoutException', 'PriorRequestNotComplete', 'SlowDown'],
  ...['InternalServerError', 'InternalServerException', 'InternalFailure', 'InternalError', 'ServiceUnavailable'],
])
const NETWORK = new Set([
  ...['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'],
  ...['ERR_SOCKET_CONNECTION_TIMEOUT', 'UND_ERR_SOCKET'],
])
/** Who asks is not allowed to, or not known. */
const REFUSALS = new Set([
  ...['AccessDenied', 'AccessDeniedException', 'UnauthorizedOperation', 'AuthorizationError', 'NotAuthorized'],
  ...['UnrecognizedClientException', 'InvalidClientTokenId', 'MissingAuthenticationToken', 'InvalidSignatureException'],
  ...['SignatureDoesNotMatch', 'IncompleteSignature', 'AuthorizationErrorException', 'OptInRequired'],
])
/** Credentials that are found, but no more, or not yet. */
const EXPIRED = new Set([
  ...['ExpiredToken', 'ExpiredTokenException', 'CredentialsProviderError', 'RequestExpired'],
  ...['RequestTimeTooSkewed', 'RequestInTheFuture'],
])

function failure(what: string, error: unknown): BackupError {
  const code = codeOf(error)
  const requestId = of(of(error, '$metadata'), 'requestId')
  const facts = { awsCode: code, ...(typeof requestId === 'string' ? { requestId } : {}) }
  const message = `Cannot ${what}: ${code}: ${messageOf(error)}`
  if (mayPass(error) || EXPIRED.has(code)) {
    const hint = 'It is tried again; look at the network and at the status of AWS when it does not pass'
    return new BackupError(message, { code: 'aws-unreachable', retry: 'later', hint, facts, cause: error })
  }
  if (REFUSALS.has(code)) {
    const hint = 'Look at the role that this program runs with, and at the policies of what it asks for'
    return new BackupError(message, { code: 'aws-refused', kind: 'refused', hint, facts, cause: error })
  }
  return new BackupError(message, { code: 'aws-failed', facts, cause: error })
}
