// A client of the HTTP API: one request at a time, with a token or signed. Every request may be repeated: starts carry a key.

import { createHash } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import { BackupError, messageOf } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { retry } from '../../base/retry.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { errorOfProblem } from '../../wire/api/answers.ts'
import type { S3CredentialSource } from './s3-credentials.ts'
import { s3Signer } from './s3-signer.ts'

export type ApiProof =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'iam'; readonly region: string; readonly credentials: S3CredentialSource }

export type ApiClientOptions = {
  /** "https://host" */
  readonly url: string
  readonly proof: ApiProof
  readonly clock: Clock
  readonly random: Random
}

export type ApiQuestion = {
  readonly method: 'GET' | 'POST'
  /** "/v1/…", of characters that need no encoding. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** Idempotency key of a start. */
  readonly key?: string
}

export type ApiAnswered = {
  readonly answer: unknown
  /** After how long to look again; null: there is nothing to wait for. */
  readonly retryAfterMs: number | null
}

export interface ApiClient {
  /** @throws BackupError as the API tells it, `api-unreachable` (retry later), `api-answer-malformed` */
  ask(question: ApiQuestion, cancel: Cancel): Promise<ApiAnswered>
}

/** A request that gets no answer for so long is given up, and tried again. */
const ANSWER_MS = 30_000
const TRIES = { attemptsMax: 4, firstMs: 250, mostMs: 4_000 }

export function apiClient(options: ApiClientOptions): ApiClient {
  const { clock, random } = options
  return {
    ask: (question, { signal }) =>
      retry(() => askOnce(question, options, { signal }), {
        ...TRIES,
        clock,
        random,
        signal,
        retryable: (error) => error instanceof BackupError && error.retry === 'later',
      }),
  }
}

async function askOnce(question: ApiQuestion, options: ApiClientOptions, { signal }: Cancel): Promise<ApiAnswered> {
  const body = question.body === undefined ? null : JSON.stringify(question.body)
  const headers = {
    accept: 'application/json',
    ...(body === null ? {} : { 'content-type': 'application/json' }),
    ...(question.key === undefined ? {} : { 'idempotency-key': question.key }),
  }
  const { target, headers: proven } = await prove({ question, headers, body }, options)
  let response: Response
  let text: string
  try {
    response = await fetch(`${options.url}${target}`, {
      method: question.method,
      headers: proven,
      body,
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    })
    text = await response.text()
  } catch (cause) {
    signal.throwIfAborted()
    throw unreachableApi(options.url, cause)
  }
  const answer = jsonOf(text)
  if (!response.ok) throw errorOfProblem(response.status, answer)
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
  return { answer, retryAfterMs: Number.isFinite(seconds) ? seconds * 1_000 : null }
}

type Proving = {
  readonly question: ApiQuestion
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
}

async function prove(
  { question, headers, body }: Proving,
  { url, proof, clock }: ApiClientOptions,
): Promise<{ readonly target: string; readonly headers: Readonly<Record<string, string>> }> {
  const { method, path, query = {} } = question
  if (proof.kind === 'token') {
    const words = new URLSearchParams(query).toString()
    const target = words === '' ? path : `${path}?${words}`
    return { target, headers: { ...headers, authorization: `Bearer ${proof.token}` } }
  }
  const credentials = await proof.credentials.read({ fresh: false })
  const bodyHash = createHash('sha256')
    .update(body ?? '')
    .digest('hex')
  const unsigned = { method, path, query, headers: { ...headers, host: new URL(url).host }, bodyHash }
  const signed = s3Signer({ region: proof.region, service: 'execute-api' })(unsigned, {
    credentials,
    nowMs: clock.nowMs(),
  })
  // fetch() writes this one itself, from the address.
  const { host: _host, ...rest } = signed.headers
  return { target: signed.target, headers: rest }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function unreachableApi(url: string, cause: unknown): BackupError {
  const why = cause instanceof Error && cause.cause !== undefined ? messageOf(cause.cause) : messageOf(cause)
  return new BackupError(`Cannot reach the API at "${url}": ${why}`, {
    code: 'api-unreachable',
    retry: 'later',
    hint: 'Look at COLDFRAME_API_URL and at the network; what was asked for goes on without this command',
    cause,
  })
}
