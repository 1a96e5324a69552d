// A small HTTP proxy on the loopback interface that loses answers, delays requests and answers in a service's place: what a
// client of an AWS service meets on a bad day. Requests that nothing happens to pass unchanged.

import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { listenOnLoopback } from './loopback.ts'

export type Call = {
  /** From 1, over all calls. */
  readonly number: number
  /** "PutItem", "SendMessage": the operation of the JSON protocols; '' where there is none. */
  readonly operation: string
  readonly body: string
}

export type Mishap =
  /** The service does it, and the connection breaks before its answer comes. */
  | 'answer-lost'
  /** The service is never told. */
  | 'request-lost'
  /** The service is told later, after the client has given up; nobody hears the answer. */
  | { readonly late: Promise<void>; readonly onDone: () => void }
  /** This comes in place of the service's answer, and the service is not told. */
  | { readonly status: number; readonly body: object }

/** Asked for every call; null lets it pass. */
export type Mishaps = (call: Call) => Mishap | null

export type HttpProxy = AsyncDisposable & { readonly endpoint: string }

export async function openHttpProxy(target: string, mishaps: Mishaps): Promise<HttpProxy> {
  let number = 0
  const running = new Set<Promise<void>>()
  const server = createServer((incoming, outgoing) => {
    const work = handle({ incoming, outgoing, target }, (call) => mishaps({ ...call, number: ++number }))
      .catch(() => void outgoing.destroy())
      .finally(() => running.delete(work))
    running.add(work)
  })
  const listening = await listenOnLoopback(server)
  return {
    endpoint: listening.url,
    async [Symbol.asyncDispose]() {
      await Promise.all(running)
      await listening[Symbol.asyncDispose]()
    },
  }
}

type Exchange = { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse; readonly target: string }

async function handle(exchange: Exchange, mishapOf: (call: Omit<Call, 'number'>) => Mishap | null): Promise<void> {
  const { incoming, outgoing } = exchange
  const body = Buffer.concat(await Array.fromAsync(incoming as AsyncIterable<Uint8Array>))
  const operation = String(incoming.headers['x-amz-target'] ?? '').split('.')[1] ?? ''
  const mishap = mishapOf({ operation, body: body.toString('utf8') })
  if (mishap === null) {
    const answer = await forward(exchange, body)
    outgoing.writeHead(answer.status, answer.headers)
    outgoing.end(answer.body)
    return
  }
  if (mishap === 'request-lost') return void outgoing.destroy()
  if (mishap === 'answer-lost') {
    await forward(exchange, body)
    return void outgoing.destroy()
  }
  if ('late' in mishap) {
    outgoing.destroy()
    await mishap.late
    await forward(exchange, body)
    return mishap.onDone()
  }
  outgoing.writeHead(mishap.status, { 'content-type': 'application/x-amz-json-1.0' })
  outgoing.end(JSON.stringify(mishap.body))
}

/** An error as the JSON protocols write it. */
export function refusal(status: number, type: string): Mishap {
  return { status, body: { __type: `com.amazonaws#${type}`, message: 'made by the test' } }
}

type Answer = { readonly status: number; readonly headers: IncomingMessage['headers']; readonly body: Buffer }

async function forward({ incoming, target }: Exchange, body: Buffer): Promise<Answer> {
  const { method, url, headers } = incoming
  const sent = request(new URL(url ?? '/', target), { method: method ?? 'POST', headers })
  sent.end(body)
  const [answer]: IncomingMessage[] = await once(sent, 'response')
  if (answer === undefined) throw new Error('the service gave no answer')
  const parts = await Array.fromAsync(answer as AsyncIterable<Uint8Array>)
  return { status: answer.statusCode ?? 500, headers: answer.headers, body: Buffer.concat(parts) }
}
