// A strict server of one AWS API for tests: on loopback, with signatures checked, and every request and reply checked against the
// schemas of the SDK's own client. What it keeps and how it behaves is in the file of that API.

import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { NormalizedSchema } from '@smithy/core/schema'
import type { StaticOperationSchema } from '@smithy/types'
import { listenOnLoopback } from '../loopback.ts'
import { checkSigv4 } from '../sigv4-check.ts'
import { ApiError } from './api-error.ts'
import { TEST_CREDENTIALS, TEST_REGION } from './identity.ts'
import { queryValues, xmlReply } from './query.ts'
import { pathValues, routeOf } from './rest.ts'
import { decodeStruct, encodeJson, SchemaFault, type Shape } from './schema.ts'

export type Api = {
  /** The name that requests are signed for. */
  readonly name: string
  readonly protocol: /** POST / with X-Amz-Target. */
    | { readonly kind: 'json'; readonly target: string }
    /** POST / with a form; XML comes back. */
    | { readonly kind: 'query'; readonly version: string; readonly namespace: string }
    /** Method and path by the schema's http trait. */
    | { readonly kind: 'rest' }
  readonly operations: Readonly<Record<string, Operation>>
  /** The codes for what the schema refuses. */
  readonly refusals?: { readonly missing: string; readonly malformed: string }
}

export type Operation = {
  readonly schema: StaticOperationSchema
  /** @throws ApiError */
  readonly handle: (input: Shape) => Shape | Promise<Shape>
}

/** What becomes of a request instead of what should. */
export type Strike =
  | { readonly kind: 'error'; readonly code: string; readonly status?: number; readonly message?: string }
  /** The connection is cut: before anything was done, or after it was and before the answer. */
  | { readonly kind: 'lost'; readonly when: 'before' | 'after' }

export type ApiCall = { readonly operation: string; readonly input: Shape }

export type ApiServer = AsyncDisposable & {
  /** For example "http://127.0.0.1:34567": what AWS_ENDPOINT_URL_… takes. */
  readonly endpoint: string
  /** What clients are made with. */
  readonly client: {
    readonly endpoint: string
    readonly region: string
    readonly credentials: typeof TEST_CREDENTIALS
  }
  /** Every request that was signed and well formed, in order; struck ones too. */
  readonly calls: readonly ApiCall[]
  /** Asked at each such request, numbered from 1 for its operation; the last one given counts. */
  strike(choose: (call: ApiCall & { readonly number: number }) => Strike | null): void
}

/** Listens on a free port of 127.0.0.1. */
export async function openApiServer(api: Api): Promise<ApiServer> {
  const calls: ApiCall[] = []
  let choose: Parameters<ApiServer['strike']>[0] = () => null
  const strikeAt = (call: ApiCall): Strike | null => {
    calls.push(call)
    const number = calls.filter(({ operation }) => operation === call.operation).length
    return choose({ ...call, number })
  }
  const server = createServer((request, response) => {
    answer(request, response, { api, strikeAt }).catch((error: unknown) => {
      // A fault of the server itself: tests see it in the client's error.
      reply(response, api, new ApiError('TestServerBroken', String(error), 400))
    })
  })
  const { url: endpoint, ...listening } = await listenOnLoopback(server)
  return {
    endpoint,
    client: { endpoint, region: TEST_REGION, credentials: TEST_CREDENTIALS },
    calls,
    strike: (next) => {
      choose = next
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
}

type Context = { readonly api: Api; readonly strikeAt: (call: ApiCall) => Strike | null }

async function answer(request: IncomingMessage, response: ServerResponse, { api, strikeAt }: Context): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks)
  try {
    const call = understood(request, body, api)
    const strike = strikeAt(call)
    if (strike?.kind === 'error') throw new ApiError(strike.code, strike.message ?? 'struck', strike.status ?? 400)
    if (strike?.when === 'before') return void request.socket.destroy()
    const operation = api.operations[call.operation]
    const output = await operation?.handle(call.input)
    const checked = encodeJson(operation?.schema[5] ?? 'unit', output ?? {})
    if (strike !== null) return void request.socket.destroy()
    reply(response, api, { operation: call.operation, output: checked as Shape })
  } catch (error) {
    if (error instanceof SchemaFault) {
      const { missing = 'ValidationException', malformed = 'SerializationException' } = api.refusals ?? {}
      return reply(response, api, new ApiError(error.kind === 'missing' ? missing : malformed, error.message))
    }
    if (error instanceof ApiError) return reply(response, api, error)
    throw error
  }
}

/** The operation and its checked input. @throws ApiError, SchemaFault */
function understood(request: IncomingMessage, body: Buffer, { name, protocol, operations }: Api): ApiCall {
  const { method = '', url: target = '/', headers } = request
  const rules = { service: name, region: TEST_REGION, credentials: [TEST_CREDENTIALS], nowMs: Date.now() }
  const bodySha256 = createHash('sha256').update(body).digest('hex')
  const verdict = checkSigv4({ method, url: target, headers }, { ...rules, style: 'other', bodySha256 })
  if (verdict.kind === 'refused') throw new ApiError(verdict.code, verdict.message, verdict.status)
  switch (protocol.kind) {
    case 'json': {
      const [prefix, operation = ''] = String(headers['x-amz-target']).split('.')
      const known = prefix === protocol.target ? operations[operation] : undefined
      if (known === undefined || method !== 'POST' || target !== '/') throw unknownOperation(`${prefix}.${operation}`)
      if (headers['content-type'] !== 'application/x-amz-json-1.1') {
        throw new ApiError('SerializationException', `Content-Type is ${headers['content-type']}`)
      }
      const input = decodeStruct(NormalizedSchema.of(known.schema[4]), jsonOf(body))
      return { operation, input }
    }
    case 'query': {
      const form = new URLSearchParams(body.toString('utf8'))
      const operation = form.get('Action') ?? ''
      const known = operations[operation]
      if (known === undefined || form.get('Version') !== protocol.version) throw unknownOperation(operation)
      const schema = NormalizedSchema.of(known.schema[4])
      return { operation, input: decodeStruct(schema, queryValues(form, schema)) }
    }
    case 'rest': {
      const route = routeOf({ method, target }, operations)
      if (route === null) throw unknownOperation(`${method} ${target}`)
      const json = body.byteLength === 0 ? {} : jsonOf(body)
      const schema = NormalizedSchema.of(route.schema[4])
      return { operation: route.operation, input: decodeStruct(schema, pathValues(route, schema, json)) }
    }
  }
}

function unknownOperation(name: string): ApiError {
  return new ApiError('UnknownOperationException', `This server does not know ${name}`)
}

function jsonOf(body: Buffer): Shape {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw new ApiError('SerializationException', String(error))
  }
}

type Reply = ApiError | { readonly operation: string; readonly output: Shape }

function reply(response: ServerResponse, { protocol }: Api, what: Reply): void {
  response.setHeader('x-amzn-requestid', crypto.randomUUID())
  if (protocol.kind === 'query') {
    response.writeHead(what instanceof ApiError ? what.status : 200, { 'content-type': 'text/xml' })
    response.end(xmlReply(what, protocol.namespace))
    return
  }
  const type = protocol.kind === 'json' ? 'application/x-amz-json-1.1' : 'application/json'
  response.setHeader('content-type', type)
  if (!(what instanceof ApiError)) {
    response.writeHead(200)
    response.end(JSON.stringify(what.output))
    return
  }
  if (protocol.kind === 'rest') response.setHeader('x-amzn-errortype', what.code)
  response.writeHead(what.status)
  response.end(JSON.stringify({ __type: what.code, message: what.message, Message: what.message }))
}
