// A strict S3 server for tests, in memory, on 127.0.0.1: what it knows it checks as S3 does (signatures, checksums,
// conditions, retention), what it does not know it refuses with 501. Faults on request. Written from the S3 API Reference.

import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { TEST_CREDENTIALS, TEST_REGION } from './aws/identity.ts'
import { listenOnLoopback } from './loopback.ts'
import type { S3Call, S3Fault } from './s3-server-calls.ts'
import { badRequest, errorReply, notImplemented, S3Error, type S3Reply } from './s3-server-replies.ts'
import { operationOf, refuseUnknown, runOperation } from './s3-server-routes.ts'
import { type Bucket, newBucket } from './s3-server-state.ts'
import { checkSigv4, type Sigv4Credentials, splitUrl } from './sigv4-check.ts'

export type S3ServerOptions = {
  readonly region?: string
  readonly credentials?: readonly Sigv4Credentials[]
  /** The server's clock. */
  readonly nowMs?: () => number
  /** Keys that one page of a listing has at most. */
  readonly pageKeysMax?: number
  readonly partBytesMin?: number
  /** "<bucket>.<domain>" as Host names a bucket (virtual-host style). */
  readonly domain?: string
}

export interface S3Server extends AsyncDisposable {
  /** "http://127.0.0.1:port" */
  readonly endpoint: string
  readonly port: number
  readonly region: string
  readonly credentials: Sigv4Credentials
  /** For AWS SDKs and for us. */
  readonly environment: Readonly<Record<string, string>>
  readonly buckets: Map<string, Bucket>
  /** Every request that was signed rightly, in order. */
  readonly calls: S3Call[]
  /** Asked before every request. */
  faults: (call: S3Call) => S3Fault | null
  /** Told of every connection, by the port at its other end. */
  onConnection: (port: number | undefined) => void
  /** Closes the connections on which no request is under way. */
  closeIdle(): void
  addBucket(name: string, options?: { readonly objectLock?: boolean; readonly versioning?: boolean }): Bucket
}

type Settings = Required<S3ServerOptions>

/** Starts the server. Disposing closes it and every connection. */
export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  const settings: Settings = {
    region: TEST_REGION,
    credentials: [TEST_CREDENTIALS],
    nowMs: Date.now,
    pageKeysMax: 1000,
    partBytesMin: 5 * 1024 * 1024,
    domain: 's3.test',
    ...options,
  }
  const buckets = new Map<string, Bucket>()
  const calls: S3Call[] = []
  const http = createServer({ keepAliveTimeout: 10_000 }, (request, response) => {
    answer({ request, response, settings, server }).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  })
  const listening = await listenOnLoopback(http)
  const { url: endpoint, port } = listening
  const credentials: Sigv4Credentials = settings.credentials[0] ?? TEST_CREDENTIALS
  const server: S3Server = {
    endpoint,
    port,
    region: settings.region,
    credentials,
    environment: {
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: settings.region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      ...(credentials.sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: credentials.sessionToken }),
    },
    buckets,
    calls,
    faults: () => null,
    onConnection: () => undefined,
    closeIdle: () => http.closeIdleConnections(),
    addBucket: (name, { objectLock = false, versioning = false } = {}) => {
      const bucket = newBucket(name, { objectLock })
      if (versioning) bucket.versioning = 'Enabled'
      buckets.set(name, bucket)
      return bucket
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
  http.on('connection', (socket) => server.onConnection(socket.remotePort))
  return server
}

type Exchange = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly settings: Settings
  readonly server: S3Server
}

async function answer({ request, response, settings, server }: Exchange): Promise<void> {
  const requestId = randomBytes(8).toString('hex').toUpperCase()
  let fault: S3Fault | null = null
  let reply: S3Reply
  try {
    const target = targetOf(request, settings)
    const payload = checkSignature(request, settings)
    const call: S3Call = { number: server.calls.length + 1, ...target, headers: request.headers }
    server.calls.push(call)
    fault = server.faults(call)
    if (fault?.kind === 'silent') return
    if (fault?.kind === 'slow') await delay(fault.ms)
    const body = await readBody(request, fault?.kind === 'cut-request' ? fault.afterBytes : null)
    if (body === null) return
    checkPayload(payload, body)
    if (fault?.kind === 'error') throw new S3Error(fault.status, fault.code, 'The test wanted this.', fault)
    reply = runOperation({ ...call, body, nowMs: settings.nowMs() }, { buckets: server.buckets, ...settings })
    if (fault?.kind === 'error-after') throw new S3Error(fault.status, fault.code, 'The test wanted this.')
  } catch (error) {
    if (!(error instanceof S3Error)) throw error
    reply = errorReply(error, { requestId })
    // What was not read of the body would be taken for the next request.
    if (!request.complete) request.resume()
  }
  if (fault?.kind === 'cut-answer') {
    request.socket.destroy()
    return
  }
  send(response, { reply, fault, head: request.method === 'HEAD', requestId, nowMs: settings.nowMs() })
}

type Sent = {
  readonly reply: S3Reply
  readonly fault: S3Fault | null
  readonly head: boolean
  readonly requestId: string
  readonly nowMs: number
}

function send(response: ServerResponse, { reply, fault, head, requestId, nowMs }: Sent): void {
  response.sendDate = false
  response.writeHead(reply.status, {
    date: new Date(nowMs).toUTCString(),
    server: 'AmazonS3',
    'x-amz-request-id': requestId,
    'x-amz-id-2': 'coldframe-test-s3',
    ...(head || reply.status === 204 ? {} : { 'content-length': String(reply.body.byteLength) }),
    ...reply.headers,
  })
  if (head) return void response.end()
  if (fault?.kind === 'cut-body') {
    response.write(reply.body.subarray(0, fault.afterBytes), () => response.socket?.destroy())
    return
  }
  if (fault?.kind !== 'damage' || reply.status >= 300) return void response.end(reply.body)
  const damaged = Buffer.from(reply.body)
  const middle = damaged.byteLength >> 1
  if (damaged.byteLength > 0) damaged[middle] = (damaged[middle] ?? 0) ^ 1
  response.end(damaged)
}

function targetOf(request: IncomingMessage, { domain }: Settings): Omit<S3Call, 'number' | 'headers'> {
  const method = request.method ?? ''
  const { path, query } = splitUrl(request.url ?? '/')
  const host = (request.headers.host ?? '').replace(/:\d+$/, '')
  const virtual = host.endsWith(`.${domain}`) ? host.slice(0, -domain.length - 1) : null
  const decoded = decodeURIComponent(path.slice(1))
  const slash = decoded.indexOf('/')
  const bucket = virtual ?? (slash < 0 ? decoded : decoded.slice(0, slash))
  const key = virtual !== null ? decoded : slash < 0 ? '' : decoded.slice(slash + 1)
  const names = new Map(query)
  return { method, bucket, key, query: names, operation: operationOf({ method, bucket, key, query: names }) }
}

function checkSignature(request: IncomingMessage, settings: Settings): string {
  const verdict = checkSigv4(
    { method: request.method ?? '', url: request.url ?? '/', headers: request.headers },
    {
      service: 's3',
      region: settings.region,
      credentials: settings.credentials,
      nowMs: settings.nowMs(),
      style: 's3',
    },
  )
  if (verdict.kind === 'signed') return verdict.payload ?? ''
  throw new S3Error(verdict.status, verdict.code, verdict.message, {
    elements: verdict.region === undefined ? {} : { Region: verdict.region },
  })
}

function checkPayload(named: string, body: Buffer): void {
  if (named === 'UNSIGNED-PAYLOAD') return
  if (!/^[0-9a-f]{64}$/.test(named)) throw notImplemented(`x-amz-content-sha256: ${named}`)
  if (createHash('sha256').update(body).digest('hex') === named) return
  const message = "The provided 'x-amz-content-sha256' header does not match what was computed."
  throw new S3Error(400, 'XAmzContentSHA256Mismatch', message)
}

/** @returns null when the connection was cut on purpose, or by the other side */
async function readBody(request: IncomingMessage, cutAfter: number | null): Promise<Buffer | null> {
  if (request.headers['transfer-encoding'] !== undefined) {
    throw new S3Error(411, 'MissingContentLength', 'You must provide the Content-Length HTTP header.')
  }
  const declared = Number(request.headers['content-length'] ?? 0)
  if (request.method === 'PUT' && request.headers['content-length'] === undefined) {
    throw new S3Error(411, 'MissingContentLength', 'You must provide the Content-Length HTTP header.')
  }
  const body = Buffer.allocUnsafeSlow(declared)
  let filled = 0
  try {
    for await (const part of request) {
      const bytes = Buffer.from(part)
      filled += bytes.copy(body, filled)
      if (cutAfter !== null && filled >= cutAfter) {
        request.socket.destroy()
        return null
      }
    }
  } catch {
    return null
  }
  if (filled !== declared) throw badRequest('The request body terminated unexpectedly')
  refuseUnknown(request.headers)
  return body
}
