// HTTP as the API needs it, whoever carries it: a request taken apart, an answer to give. Not a server.

import * as z from 'zod'
import { BackupError, exitCodeOf, messageOf, quote } from '../../base/errors.ts'
import type { ProblemDocument } from './documents.ts'

export type ApiRequest = {
  readonly method: string
  /** As it came, still encoded: "/v1/runs/…". */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Null: there was none. */
  readonly body: Uint8Array | null
  /** What the gateway made sure of; null: nothing. */
  readonly proof: CallerProof | null
}

/** How a caller was authenticated, by whoever stands before the API. */
export type CallerProof =
  | { readonly kind: 'jwt'; readonly claims: Readonly<Record<string, unknown>> }
  | { readonly kind: 'iam'; readonly userArn: string }

export type ApiResponse = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON text. */
  readonly body: string
}

/** In bytes, of what a client sends. */
export const BODY_BYTES_MAX = 262_144

/** What is known of a failure: a status for each code that has one of its own, else by kind. */
const STATUS_OF: Readonly<Record<string, number>> = {
  'not-authenticated': 401,
  'route-unknown': 404,
  'method-not-allowed': 405,
  'too-late-to-cancel': 409,
  'body-too-large': 413,
  'media-type-unsupported': 415,
  'idempotency-key-reused': 422,
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** @param error anything that was thrown: what is no error of the world is told as little of as can be */
export function problemOf(error: unknown): ApiResponse {
  const known = error instanceof BackupError ? error : null
  const code = known?.code ?? 'internal'
  const status = known === null ? 500 : (STATUS_OF[code] ?? statusOfKind(known))
  const problem: ProblemDocument = {
    type: `urn:coldframe:problem:${code}`,
    title: TITLES[status] ?? 'Error',
    status,
    detail: known?.message ?? 'This is a fault of Coldframe itself; its log tells more',
    code,
    hint: known?.hint ?? null,
    facts: { ...known?.facts },
  }
  const allow = typeof known?.facts['allow'] === 'string' ? { allow: known.facts['allow'] } : {}
  const later = status === 503 ? { 'retry-after': '5' } : {}
  return {
    status,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...allow, ...later },
    body: JSON.stringify(problem),
  }
}

function statusOfKind({ kind, retry }: BackupError): number {
  switch (exitCodeOf(kind)) {
    case 2:
      return 400
    case 3:
      return 404
    case 4:
      return 403
    case 130:
      return 503
    default:
      return retry === 'later' ? 503 : 500
  }
}

/**
 * The JSON of a request's body; an empty one is an empty object.
 * @throws BackupError `body-too-large`, `media-type-unsupported`, `request-malformed`
 */
export function readBody({ body, headers }: Pick<ApiRequest, 'body' | 'headers'>): unknown {
  if (body === null || body.byteLength === 0) return {}
  if (body.byteLength > BODY_BYTES_MAX)
    throw usage(`The body has ${body.byteLength} bytes, more than ${BODY_BYTES_MAX}`, 'body-too-large')
  const mediaType = headers['content-type'] ?? ''
  if (!/^application\/json\s*(;\s*charset=("?)utf-8\2\s*)?$/i.test(mediaType))
    throw usage(`The body is of type ${quote(mediaType)}: it must be application/json`, 'media-type-unsupported')
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (error) {
    throw usage(`Cannot read the body of the request: not JSON: ${messageOf(error)}`, 'request-malformed')
  }
}

/** @returns null when there is none. @throws BackupError `request-malformed` */
export function idempotencyKeyOf({ headers }: Pick<ApiRequest, 'headers'>): string | null {
  const key = headers['idempotency-key']
  if (key === undefined) return null
  if (/^[\x20-\x7e]{1,128}$/.test(key)) return key
  throw usage('The Idempotency-Key must be 1 to 128 printable ASCII characters', 'request-malformed')
}

function usage(message: string, code: string): BackupError {
  return new BackupError(message, { code, kind: 'usage', hint: 'GET /v1/openapi.json says what a request looks like' })
}

const gatewayEvent = z.object({
  rawPath: z.string(),
  headers: z.record(z.string(), z.string()).default({}),
  queryStringParameters: z.record(z.string(), z.string()).nullish(),
  body: z.string().nullish(),
  isBase64Encoded: z.boolean().default(false),
  requestContext: z.object({
    stage: z.string().default('$default'),
    http: z.object({ method: z.string() }),
    authorizer: z
      .object({
        jwt: z.object({ claims: z.record(z.string(), z.unknown()) }).nullish(),
        iam: z.object({ userArn: z.string() }).nullish(),
      })
      .nullish(),
  }),
})

/** @param event of API Gateway's HTTP API, payload format 2.0. @throws ZodError: nothing but the gateway invokes the function */
export function requestOfGateway(event: unknown): ApiRequest {
  const { rawPath, headers, queryStringParameters, body, isBase64Encoded, requestContext } = gatewayEvent.parse(event)
  const { stage, http, authorizer } = requestContext
  const prefix = `/${stage}`
  return {
    method: http.method.toUpperCase(),
    path: stage !== '$default' && rawPath.startsWith(`${prefix}/`) ? rawPath.slice(prefix.length) : rawPath,
    query: queryStringParameters ?? {},
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    body: body === null || body === undefined ? null : Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8'),
    proof: proofOf(authorizer ?? {}),
  }
}

function proofOf({
  jwt,
  iam,
}: NonNullable<z.output<typeof gatewayEvent>['requestContext']['authorizer']>): CallerProof | null {
  if (jwt !== null && jwt !== undefined) return { kind: 'jwt', claims: jwt.claims }
  return iam === null || iam === undefined ? null : { kind: 'iam', userArn: iam.userArn }
}
