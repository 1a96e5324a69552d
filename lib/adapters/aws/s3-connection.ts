// One signed request to S3 and its answer, over connections that are kept. No retries.

import { Agent as HttpAgent, type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { LookupFunction } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { parseS3Error } from '../../wire/s3-documents.ts'
import type { S3CredentialSource } from './s3-credentials.ts'
import { lossOf, type S3Failure, type S3Loss } from './s3-failures.ts'
import { s3Signer } from './s3-signer.ts'

export type S3Request = {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** Null: of the bucket itself. */
  readonly key: string | null
  readonly query: Readonly<Record<string, string>>
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | null
}

export type S3Outcome<Value> = { readonly kind: 'done'; readonly value: Value } | S3Failure | S3Loss

export interface S3Connection {
  /** "https://host[:port]" */
  readonly endpoint: string
  /**
   * Sends the request once. `read` takes the body of a success. When this resolves, neither body nor what `read` fills is
   * touched any more.
   * @throws what `read` throws, the signal's reason, and what the credentials throw
   */
  send<Value>(
    request: S3Request,
    how: { readonly read: (reply: IncomingMessage) => Promise<Value>; readonly freshCredentials: boolean },
    cancel: Cancel,
  ): Promise<S3Outcome<Value>>
}

export type S3ConnectionOptions = {
  readonly bucket: string
  readonly region: string
  /** "http[s]://host[:port]"; null: Amazon's own. Then keys are named below the bucket's host, else below its path. */
  readonly endpoint: string | null
  readonly credentials: S3CredentialSource
  readonly clock: Pick<Clock, 'nowMs'>
  readonly connectionsMax: number
  /** A connection on which nothing moves for so long is given up. */
  readonly idleMs: number
  /** The whole of a request takes at most so long, and a second more for every 100 KB of its body. */
  readonly limitMs: number
  readonly lookup?: LookupFunction
}

const SLOWEST_BYTES_PER_MS = 100
const ERROR_BYTES_MAX = 64 * 1024

/** A body that is not what the answer's head promised: as good as no answer. */
export class BadAnswer extends Error {}

export function s3Connection(options: S3ConnectionOptions): S3Connection {
  const { origin, basePath } = addressOf(options)
  const secure = origin.protocol === 'https:'
  const pool = { keepAlive: true, maxSockets: options.connectionsMax, maxFreeSockets: options.connectionsMax }
  const agent = secure
    ? new HttpsAgent({ ...pool, scheduling: 'lifo' })
    : new HttpAgent({ ...pool, scheduling: 'lifo' })
  const sign = s3Signer(options)
  const place = {
    hostname: origin.hostname.replace(/^\[|\]$/g, ''),
    port: origin.port === '' ? null : Number(origin.port),
  }
  return {
    endpoint: origin.origin,
    async send(request, { read, freshCredentials }, { signal }) {
      const credentials = await options.credentials.read({ fresh: freshCredentials })
      signal.throwIfAborted()
      const path = request.key === null ? (basePath === '' ? '/' : basePath) : `${basePath}/${request.key}`
      const { method, query, body } = request
      const headers = { ...request.headers, host: origin.host }
      const signed = sign({ method, path, query, headers }, { credentials, nowMs: options.clock.nowMs() })
      const length = body === null ? (method === 'PUT' || method === 'POST' ? 0 : null) : body.byteLength
      const sending = {
        start: secure ? requestHttps : requestHttp,
        options: {
          ...{ method, agent, path: signed.target, hostname: place.hostname },
          ...(place.port === null ? {} : { port: place.port }),
          ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
          headers: length === null ? signed.headers : { ...signed.headers, 'content-length': String(length) },
        },
        limitMs: options.limitMs + Math.ceil((length ?? 0) / SLOWEST_BYTES_PER_MS),
        ...{ body, read, signal, idleMs: options.idleMs },
      }
      return await exchange(sending).catch((error: unknown) => {
        signal.throwIfAborted()
        if (error instanceof Thrown) throw error.reason
        return lossOf(error)
      })
    },
  }
}

/** Where a bucket is spoken to: below its own host at Amazon, below its path elsewhere and where dots would break TLS names. */
function addressOf({ bucket, region, endpoint }: Pick<S3ConnectionOptions, 'bucket' | 'region' | 'endpoint'>) {
  if (endpoint !== null) return { origin: new URL(endpoint), basePath: `/${bucket}` }
  const domain = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
  const host = `s3.${region}.${domain}`
  if (bucket.includes('.')) return { origin: new URL(`https://${host}`), basePath: `/${bucket}` }
  return { origin: new URL(`https://${bucket}.${host}`), basePath: '' }
}

type Sending<Value> = {
  readonly start: typeof requestHttp
  readonly options: RequestOptions
  readonly body: Uint8Array | null
  readonly read: (reply: IncomingMessage) => Promise<Value>
  readonly signal: AbortSignal
  readonly idleMs: number
  readonly limitMs: number
}

/** What `read` threw by itself, as apart from a connection that failed under it. */
class Thrown extends Error {
  readonly reason: unknown
  constructor(reason: unknown) {
    super('the reader of an answer failed')
    this.reason = reason
  }
}

async function exchange<Value>(sending: Sending<Value>): Promise<S3Outcome<Value>> {
  const { body, read, signal, idleMs, limitMs } = sending
  const sent = sending.start(sending.options)
  const closed = new Promise<void>((resolve) => sent.once('close', resolve))
  let stopped: Error | null = null
  let stop = (_error: Error): void => undefined
  const giveUp = (why: string) => {
    stopped = new Error(why)
    sent.destroy(stopped)
    stop(stopped)
  }
  const onAbort = () => giveUp('cancelled')
  signal.addEventListener('abort', onAbort, { once: true })
  const timer = setTimeout(() => giveUp(`it took longer than ${limitMs / 1000} s`), limitMs)
  sent.setTimeout(idleMs, () => giveUp(`nothing moved for ${idleMs / 1000} s`))
  let whole = false
  try {
    const reply = await new Promise<IncomingMessage>((resolve, reject) => {
      // A request that still waits for its connection is not told of its end by an event.
      stop = reject
      sent.once('response', resolve)
      sent.on('error', reject)
      sent.end(body ?? undefined)
    })
    const outcome = await readReply(reply, read)
    whole = sent.writableFinished
    return outcome
  } catch (error) {
    throw stopped ?? error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
    // An answer that came early leaves a body half sent: nobody may read it from the caller's buffer after this.
    if (!whole) {
      const connected = sent.socket !== null
      sent.destroy()
      if (connected) await closed
    }
  }
}

async function readReply<Value>(
  reply: IncomingMessage,
  read: (reply: IncomingMessage) => Promise<Value>,
): Promise<S3Outcome<Value>> {
  const status = reply.statusCode ?? 0
  if (status >= 200 && status < 300) {
    try {
      const value = await read(reply)
      if (!reply.readableEnded) reply.destroy()
      return { kind: 'done', value }
    } catch (error) {
      reply.destroy()
      if (error instanceof BadAnswer) throw error
      throw new Thrown(error)
    }
  }
  const bytes = await readUpTo(reply, ERROR_BYTES_MAX)
  const document = parseS3Error(bytes)
  const header = (name: string) => {
    const value = reply.headers[name]
    return typeof value === 'string' ? value : null
  }
  const size = /^bytes \*\/(\d+)$/.exec(header('content-range') ?? '')?.[1]
  return {
    kind: 'answer',
    status,
    code: document?.code ?? '',
    message: document?.message ?? '',
    region: document?.region ?? header('x-amz-bucket-region'),
    deleted: header('x-amz-delete-marker') === 'true',
    date: header('date'),
    sizeBytes: size === undefined ? null : Number(size),
  }
}

/** The whole body. @throws when it ended early, or is longer */
export async function readUpTo(reply: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const parts: Buffer[] = []
  let size = 0
  await eachPart(reply, (part) => {
    size += part.byteLength
    if (size > bytesMax) throw new BadAnswer(`the answer is longer than ${bytesMax} bytes`)
    parts.push(part)
  })
  return Buffer.concat(parts, size)
}

/** @returns how many bytes came; what is longer than the target is not taken */
export async function readInto(reply: IncomingMessage, target: Uint8Array): Promise<number> {
  let filled = 0
  await eachPart(reply, (part) => {
    if (filled + part.byteLength > target.byteLength) throw new BadAnswer('the answer is longer than was asked for')
    target.set(part, filled)
    filled += part.byteLength
  })
  if (filled < target.byteLength) throw new BadAnswer(`the answer ended after ${filled} of ${target.byteLength} bytes`)
  return filled
}

/** By events: half the cost of an iterator. */
function eachPart(reply: IncomingMessage, take: (part: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      reply.removeAllListeners('data')
      reply.destroy()
      reject(error)
    }
    reply.on('data', (part: Buffer) => {
      try {
        take(part)
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)))
      }
    })
    reply.once('end', () =>
      reply.complete ? resolve() : fail(new BadAnswer('the connection ended inside the answer')),
    )
    reply.once('error', (error) => fail(new BadAnswer(error.message, { cause: error })))
    reply.once('close', () => fail(new BadAnswer('the connection ended inside the answer')))
  })
}
