// Checks AWS Signature Version 4 as a service does (AWS General Reference, "Create a signed AWS API request"), for servers of
// ours that stand in for one. Header form only. Written from that document, never from a client of ours.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export type Sigv4Credentials = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export type Sigv4Request = {
  readonly method: string
  /** As it came: path and query, not decoded. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

export type Sigv4Verdict =
  | {
      readonly kind: 'signed'
      readonly accessKeyId: string
      /** What x-amz-content-sha256 says; null: the hash of the body is part of the signature, see `bodySha256`. */
      readonly payload: string | null
    }
  | {
      readonly kind: 'refused'
      readonly status: number
      readonly code: string
      readonly message: string
      readonly region?: string
    }

export type Sigv4Rules = {
  readonly service: string
  readonly region: string
  readonly credentials: readonly Sigv4Credentials[]
  readonly nowMs: number
  /** S3 names the payload's hash in a header and encodes a path once; the others hash the body and encode a path twice. */
  readonly style: 's3' | 'other'
  /** SHA-256 of the body in hex; only services that are not S3 need it. */
  readonly bodySha256?: string
}

const SKEW_MS = 15 * 60_000

export function checkSigv4(request: Sigv4Request, rules: Sigv4Rules): Sigv4Verdict {
  const { headers } = request
  const authorization = headers.authorization
  if (authorization === undefined) return refused(403, 'AccessDenied', 'Access Denied: the request is not signed')
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/([^/,]+)\/aws4_request, ?SignedHeaders=([a-z0-9;_-]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    )
  if (match === null) return malformedHeader('The authorization header is malformed')
  const [, accessKeyId = '', day = '', region = '', signedFor = '', names = '', signature = ''] = match
  const at = String(headers['x-amz-date'] ?? '')
  const atMs = timeOf(at)
  if (atMs === null) return refused(403, 'AccessDenied', 'AWS authentication requires a valid x-amz-date header')
  if (!at.startsWith(day)) return malformedHeader(`Invalid credential date "${day}": the request is of "${at}"`)
  if (signedFor !== rules.service)
    return malformedHeader(`Incorrect service "${signedFor}"; expecting "${rules.service}"`)
  if (region !== rules.region) {
    return { ...malformedHeader(`The region '${region}' is wrong; expecting '${rules.region}'`), region: rules.region }
  }
  if (Math.abs(atMs - rules.nowMs) > SKEW_MS) {
    return refused(
      403,
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
    )
  }
  const credentials = rules.credentials.find((one) => one.accessKeyId === accessKeyId)
  if (credentials === undefined) {
    return refused(403, 'InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.')
  }
  if (headers['x-amz-security-token'] !== credentials.sessionToken) {
    return refused(400, 'InvalidToken', 'The provided token is malformed or otherwise invalid.')
  }
  const signed = names.split(';')
  const unsigned = Object.keys(headers).find(
    (name) => (name === 'host' || name.startsWith('x-amz-')) && !signed.includes(name),
  )
  if (unsigned !== undefined) {
    return refused(403, 'AccessDenied', `There were headers present in the request which were not signed: ${unsigned}`)
  }
  const payload = payloadOf(headers, rules)
  if (payload === null) {
    return refused(400, 'InvalidRequest', 'Missing required header for this request: x-amz-content-sha256')
  }
  const canonical = canonicalRequest(request, { signed, payload, style: rules.style })
  const scope = `${day}/${region}/${signedFor}/aws4_request`
  const text = `AWS4-HMAC-SHA256\n${at}\n${scope}\n${sha256Hex(canonical)}`
  const key = [day, region, signedFor, 'aws4_request'].reduce<Buffer>(
    (parent, part) => hmac(parent, part),
    Buffer.from(`AWS4${credentials.secretAccessKey}`),
  )
  if (!timingSafeEqual(hmac(key, text), Buffer.from(signature, 'hex'))) {
    return refused(
      403,
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided.',
    )
  }
  return { kind: 'signed', accessKeyId, payload: rules.style === 's3' ? payload : null }
}

function payloadOf(headers: IncomingHttpHeaders, rules: Sigv4Rules): string | null {
  const named = headers['x-amz-content-sha256']
  if (rules.style === 's3') return typeof named === 'string' ? named : null
  return rules.bodySha256 ?? sha256Hex('')
}

function canonicalRequest(
  { method, url, headers }: Sigv4Request,
  how: { readonly signed: readonly string[]; readonly payload: string; readonly style: 's3' | 'other' },
): string {
  const { path, query } = splitUrl(url)
  const once = path
    .split('/')
    .map((part) => uriEncode(decodeURIComponent(part)))
    .join('/')
  const twice = once
    .split('/')
    .map((part) => uriEncode(part))
    .join('/')
  const pairs = query
    .map(([name, value]) => [uriEncode(name), uriEncode(value)] as const)
    .toSorted(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map(([name, value]) => `${name}=${value}`)
  const lines = how.signed.map(
    (name) =>
      `${name}:${String(headers[name] ?? '')
        .trim()
        .replaceAll(/ +/g, ' ')}\n`,
  )
  return [
    method,
    how.style === 's3' ? once : twice,
    pairs.join('&'),
    lines.join(''),
    how.signed.join(';'),
    how.payload,
  ].join('\n')
}

/** The path as it came, and the query decoded: "+" is a plus here, as in all of AWS. */
export function splitUrl(url: string): {
  readonly path: string
  readonly query: readonly (readonly [string, string])[]
} {
  const [path = '', ...rest] = url.split('?')
  const text = rest.join('?')
  const query = text
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const [name = '', ...value] = part.split('=')
      return [decodeURIComponent(name), decodeURIComponent(value.join('='))] as const
    })
  return { path, query }
}

/** RFC 3986: everything but the unreserved characters. */
export function uriEncode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** "20261127T040000Z" */
function timeOf(text: string): number | null {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (match === null) return null
  const [, year, month, day, hour, minute, second] = match
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(ms) ? null : ms
}

function malformedHeader(message: string): Extract<Sigv4Verdict, { kind: 'refused' }> {
  return refused(400, 'AuthorizationHeaderMalformed', message)
}

function refused(status: number, code: string, message: string): Extract<Sigv4Verdict, { kind: 'refused' }> {
  return { kind: 'refused', status, code, message }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
