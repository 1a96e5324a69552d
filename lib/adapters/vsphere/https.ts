// HTTPS to one vCenter or ESXi server: trusted connections, kept alive; limits in time and bytes; errors translated.

import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { Agent, request } from 'node:https'
import { PassThrough } from 'node:stream'
import { BackupError, malformed } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import { connectTrusted, type Endpoint, type HostTrust, type Trust } from './trust.ts'

export type HttpRequest = {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'
  /** With its query, encoded. */
  readonly path: string
  readonly headers: OutgoingHttpHeaders
  readonly body?: string | Uint8Array
  /** A connection of its own: a call that must not be sent twice never meets one the server just closed. */
  readonly fresh?: boolean
  readonly limitMs: number
}

export type HttpReply = {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export interface HttpsServer extends Disposable {
  readonly endpoint: Endpoint
  /** @throws BackupError `vcenter-unreachable`, `vcenter-thumbprint`, `vcenter-certificate`, `vcenter-connection-lost`, `vcenter-timeout` */
  exchange(call: HttpRequest & { readonly bytesMax: number }, cancel: Cancel): Promise<HttpReply>
  /** As `exchange`, but `consume` reads the body itself; the connection goes when it does not read it whole. */
  stream<Result>(
    call: HttpRequest,
    consume: (reply: IncomingMessage) => Promise<Result>,
    cancel: Cancel,
  ): Promise<Result>
}

/** Reads "https://host[:port][/sdk]". @throws BackupError `malformed` */
export function parseServerUrl(text: string): Endpoint {
  const needed = 'must be https://host[:port] or https://host[:port]/sdk'
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || url.protocol !== 'https:' || url.hostname === '')
    throw malformed('vCenter address', redacted(text), needed)
  if (url.username !== '' || url.password !== '')
    throw malformed('vCenter address', redacted(text), `${needed}, without user or password`)
  if (!/^\/(sdk\/?)?$/.test(url.pathname) || url.search !== '' || url.hash !== '')
    throw malformed('vCenter address', text, needed)
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? 443 : Number(url.port) }
}

export function openHttpsServer(endpoint: Endpoint, trust: Trust | HostTrust): HttpsServer {
  const closed = new AbortController()
  const place = { endpoint, signal: closed.signal }
  const kept = trustedAgent(trust, { ...place, keepAlive: true })
  const single = trustedAgent(trust, { ...place, keepAlive: false })
  const stream: HttpsServer['stream'] = async (call, consume, { signal }) => {
    signal.throwIfAborted()
    const limit = withTimeLimit(signal, call.limitMs)
    try {
      const reply = await send(call, { endpoint, agent: call.fresh === true ? single : kept, signal: limit })
      try {
        return await consume(reply)
      } finally {
        if (!reply.readableEnded) reply.destroy()
      }
    } catch (error) {
      signal.throwIfAborted()
      throw translated(error, { call, endpoint, late: limit.aborted })
    }
  }
  return {
    endpoint,
    stream,
    exchange: (call, cancel) =>
      stream(
        call,
        async (reply) => ({
          status: reply.statusCode ?? 0,
          headers: reply.headers,
          body: await readBody(reply, call.bytesMax),
        }),
        cancel,
      ),
    [Symbol.dispose]: () => {
      closed.abort()
      kept.destroy()
      single.destroy()
    },
  }
}

function trustedAgent(
  trust: Trust | HostTrust,
  { endpoint, keepAlive, signal }: Cancel & { readonly endpoint: Endpoint; readonly keepAlive: boolean },
): Agent {
  const agent = new Agent({ keepAlive, maxSockets: 64, maxFreeSockets: 16, maxCachedSessions: 0 })
  agent.createConnection = (_options, ready) => {
    connectTrusted(trust, { ...endpoint, signal }).then(
      (socket) => ready?.(null, socket),
      (error: Error) => ready?.(error, new PassThrough().destroy()),
    )
    return undefined
  }
  return agent
}

function send(
  call: HttpRequest,
  { endpoint, agent, signal }: { readonly endpoint: Endpoint; readonly agent: Agent; readonly signal: AbortSignal },
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { method, path, headers, body } = call
    const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) }
    const sent = request({ ...endpoint, method, path, agent, signal, headers: { ...headers, ...length } }, (reply) => {
      signal.removeEventListener('abort', stop)
      resolve(reply)
    })
    // A request that still waits for its connection does not hear the signal itself.
    const stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    sent.once('error', (error) => {
      signal.removeEventListener('abort', stop)
      reject(error)
    })
    sent.end(body)
  })
}

/** The whole body. Throws when it is longer than `bytesMax` or when it ended early. */
export async function readBody(reply: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of reply) {
    const bytes = Buffer.from(part)
    size += bytes.byteLength
    if (size > bytesMax)
      throw new BackupError(`Cannot read a reply of vCenter: it is larger than ${bytesMax} bytes`, {
        code: 'vcenter-reply-malformed',
      })
    parts.push(bytes)
  }
  if (!reply.complete) throw new Error('The connection ended inside the reply')
  return Buffer.concat(parts, size)
}

function translated(
  error: unknown,
  { call, endpoint, late }: { readonly call: HttpRequest; readonly endpoint: Endpoint; readonly late: boolean },
): unknown {
  if (error instanceof BackupError) return error
  const { host, port } = endpoint
  const what = `${call.method} "${call.path.split('?')[0]}" of "${host}:${port}"`
  if (late) {
    return new BackupError(`Cannot finish ${what}: no whole reply in ${call.limitMs} ms`, {
      code: 'vcenter-timeout',
      retry: 'later',
      facts: { host, port, limitMs: call.limitMs },
      cause: error,
    })
  }
  return new BackupError(`Cannot finish ${what}: the connection was lost`, {
    code: 'vcenter-connection-lost',
    retry: 'later',
    hint: 'Whether the call was carried out is not known',
    facts: { host, port },
    cause: error,
  })
}

function redacted(text: string): string {
  return text.replace(/\/\/[^/@]*@/, '//…@')
}
