// Small words for HTTP: reading a bounded body, cookies, Basic credentials, answers.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { concatBytes } from '../../lib/base/bytes.ts'
import type { Credentials } from './sessions.ts'

/** One request being answered. */
export type Exchange = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly url: URL
  /** Aborted when the caller hangs up. */
  readonly signal: AbortSignal
}

/** Null when the body is longer than `bytesMax`. */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Uint8Array | null> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of chunksOf(request)) {
    bytes += part.byteLength
    if (bytes > bytesMax) return null
    parts.push(part)
  }
  return concatBytes(parts)
}

/** The body's pieces as they come. What a caller leaves unread is read and dropped, so that it can be answered. */
export async function* chunksOf(request: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const part of request.iterator({ destroyOnReturn: false })) if (part instanceof Uint8Array) yield part
  } finally {
    request.resume()
  }
}

export function answer(
  { response }: Pick<Exchange, 'response'>,
  reply: {
    readonly status: number
    readonly type: string
    readonly body: string | Uint8Array
    readonly headers?: Readonly<Record<string, string>>
  },
): void {
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body
  response.writeHead(reply.status, {
    'Content-Type': reply.type,
    'Content-Length': body.byteLength,
    'Cache-Control': 'no-cache',
    ...reply.headers,
  })
  response.end(body)
}

export function answerStatus(exchange: Exchange, status: number): void {
  answer(exchange, { status, type: 'text/plain', body: `${status}\n` })
}

/** A cookie's value without its quotes, or null. */
export function cookieOf(request: IncomingMessage, name: string): string | null {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const equals = pair.indexOf('=')
    if (pair.slice(0, equals).trim() !== name) continue
    return pair
      .slice(equals + 1)
      .trim()
      .replaceAll(/^"|"$/g, '')
  }
  return null
}

export function basicOf(request: IncomingMessage): Credentials | null {
  const match = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(request.headers.authorization ?? '')
  if (match === null) return null
  const text = Buffer.from(match[1] ?? '', 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0 ? null : { userName: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** Resolves when more may be written, or nothing more can be. */
export function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
}
