// The HTTP API of the stack: its routes, authorizers and integrations, in front of functions, with events and answers of payload format 2.0.

import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { TEST_ACCOUNT } from '../kit/aws/identity.ts'
import { listenOnLoopback } from '../kit/loopback.ts'
import type { LambdaFunction } from './lambda-function.ts'
import { isList, isObject, type Stack } from './resolve.ts'
import type { Json, JsonObject } from './template.ts'
import type { VirtualTime } from './virtual-time.ts'

/** Who calls, as the authorizer found; null: it refuses. */
export type Authorize = (
  headers: Readonly<Record<string, string>>,
  authorizer: JsonObject | 'AWS_IAM',
) => { readonly event: JsonObject; readonly scopes: readonly string[] } | null

export type HttpApiCounts = { requests: number; refused: number; failed: number }

export interface HttpApi extends AsyncDisposable {
  readonly url: string
  readonly counts: HttpApiCounts
  running(): number
}

type Route = {
  readonly key: string
  readonly method: string
  readonly parts: readonly string[]
  readonly logicalFunction: string
  readonly authorizer: JsonObject | 'AWS_IAM' | null
  readonly scopes: readonly string[]
  readonly timeoutMs: number
}

const BODY_BYTES_MAX = 10 * 1024 * 1024
/** API Gateway's own bound; an integration may ask for less. */
const TIMEOUT_MS_MAX = 30_000

/** @param around.functionOf by the function's name in the template */
export async function openHttpApi(
  stack: Stack,
  around: {
    readonly functionOf: (logicalName: string) => LambdaFunction
    readonly time: VirtualTime
    readonly authorize: Authorize
  },
): Promise<HttpApi> {
  const routes = stack.ofType('AWS::ApiGatewayV2::Route').map((name) => routeOf(name, stack))
  const counts: HttpApiCounts = { requests: 0, refused: 0, failed: 0 }
  let running = 0
  const server = createServer((incoming, response) => {
    running++
    counts.requests++
    answer(incoming, { routes, counts, ...around })
      .then((reply) => send(response, reply))
      .catch(() => response.destroy())
      .finally(() => running--)
  })
  return { counts, running: () => running, ...(await listenOnLoopback(server)) }
}

type Reply = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: Buffer
}

function send(response: ServerResponse, { status, headers, body }: Reply): void {
  response.writeHead(status, { ...headers, 'content-length': String(body.byteLength) } as Record<
    string,
    string | string[]
  >)
  response.end(body)
}

function said(status: number, message: string): Reply {
  return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify({ message })) }
}

type Front = {
  readonly routes: readonly Route[]
  readonly counts: HttpApiCounts
  readonly functionOf: (logicalName: string) => LambdaFunction
  readonly time: VirtualTime
  readonly authorize: Authorize
}

async function answer(incoming: IncomingMessage, front: Front): Promise<Reply> {
  const { method = '', url = '/' } = incoming
  const [path = '/', query = ''] = url.split('?', 2)
  const found = match(front.routes, method, path)
  if (found === null) return said(404, 'Not Found')
  const { route, parameters } = found
  const headers = headersOf(incoming)
  const body = await buffer(incoming)
  if (body.byteLength > BODY_BYTES_MAX) return said(413, 'Request Entity Too Large')
  const who = route.authorizer === null ? null : front.authorize(headers, route.authorizer)
  if (route.authorizer !== null && who === null) {
    front.counts.refused++
    return said(401, 'Unauthorized')
  }
  if (who !== null && route.scopes.length > 0 && !route.scopes.some((scope) => who.scopes.includes(scope))) {
    front.counts.refused++
    return said(403, 'Forbidden')
  }
  const event = eventOf({ route, parameters, method, path, query, headers, body, nowMs: front.time.nowMs() })
  const requestContext = event['requestContext'] as JsonObject
  const authorized = who === null ? event : { ...event, requestContext: { ...requestContext, authorizer: who.event } }
  const result = await Promise.race([
    front.functionOf(route.logicalFunction).invoke(authorized),
    new Promise<null>((resolve) => setTimeout(resolve, route.timeoutMs, null).unref()),
  ])
  if (result === null || result.kind === 'error') {
    front.counts.failed++
    return result === null ? said(503, 'Service Unavailable') : said(500, 'Internal Server Error')
  }
  return replyOf(result.payload)
}

function match(routes: readonly Route[], method: string, path: string) {
  const parts = path.split('/').slice(1).map(decodeURIComponent)
  const fitting = routes.flatMap((route) => {
    if (route.key === '$default') return [{ route, parameters: {}, rank: 0 }]
    if (route.method !== method && route.method !== 'ANY') return []
    const parameters = parametersOf(route.parts, parts)
    if (parameters === null) return []
    const greedy = route.parts.at(-1)?.endsWith('+}') === true
    const fixed = route.parts.filter((part) => !part.startsWith('{')).length
    return [{ route, parameters, rank: (greedy ? 1 : 1000) + fixed * 2 + (route.method === 'ANY' ? 0 : 1) }]
  })
  return fitting.toSorted((a, b) => b.rank - a.rank)[0] ?? null
}

function parametersOf(pattern: readonly string[], parts: readonly string[]): Record<string, string> | null {
  const found: Record<string, string> = {}
  for (const [index, part] of pattern.entries()) {
    const [, name = '', greedy = ''] = /^\{([^+}]+)(\+?)\}$/.exec(part) ?? []
    const value = greedy === '+' ? parts.slice(index).join('/') : (parts[index] ?? '')
    if (name === '' ? part !== value : value === '') return null
    if (name !== '') found[name] = value
    if (greedy === '+') return found
  }
  return parts.length === pattern.length ? found : null
}

function headersOf({ rawHeaders }: IncomingMessage): Record<string, string> {
  const found: Record<string, string> = {}
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = [rawHeaders[index]?.toLowerCase(), rawHeaders[index + 1]]
    if (name === 'cookie') continue
    found[name] = Object.hasOwn(found, name) ? `${found[name]},${value}` : value
  }
  return found
}

function eventOf(of: {
  readonly route: Route
  readonly parameters: Readonly<Record<string, string>>
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly nowMs: number
}): JsonObject {
  const { route, parameters, method, path, query, headers, body } = of
  const asked: Record<string, string> = {}
  for (const [name, value] of new URLSearchParams(query)) {
    asked[name] = Object.hasOwn(asked, name) ? `${asked[name]},${value}` : value
  }
  const isText = /^(text\/|application\/([\w.+-]*\+)?(json|xml)|application\/javascript)/.test(
    headers['content-type'] ?? 'text/plain',
  )
  const host = headers['host'] ?? ''
  return {
    version: '2.0',
    routeKey: route.key,
    rawPath: path,
    rawQueryString: query,
    headers,
    ...(query === '' ? {} : { queryStringParameters: asked }),
    requestContext: {
      ...{ accountId: TEST_ACCOUNT, apiId: 'api', domainName: host, domainPrefix: host.split('.')[0] ?? '' },
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: headers['user-agent'] ?? '' },
      ...{ requestId: randomUUID(), routeKey: route.key, stage: '$default' },
      ...{ time: new Date(of.nowMs).toUTCString(), timeEpoch: of.nowMs },
    },
    ...(Object.keys(parameters).length === 0 ? {} : { pathParameters: parameters }),
    ...(body.byteLength === 0 ? {} : { body: isText ? body.toString() : body.toString('base64') }),
    isBase64Encoded: body.byteLength > 0 && !isText,
  }
}

/** What has no status is a body of its own (HTTP API guide, "Lambda function response for format 2.0"). */
function replyOf(payload: Json): Reply {
  if (!isObject(payload) || payload['statusCode'] === undefined) {
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
    return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(text) }
  }
  const { statusCode, headers = {}, body = '', isBase64Encoded, cookies } = payload
  const plain = isObject(headers)
    ? Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)])
    : []
  return {
    status: Number(statusCode),
    headers: {
      'content-type': 'text/plain;charset=UTF-8',
      ...Object.fromEntries(plain),
      ...(cookies !== undefined && isList(cookies) ? { 'set-cookie': cookies.map(String) } : {}),
    },
    body: Buffer.from(String(body), isBase64Encoded === true ? 'base64' : 'utf8'),
  }
}

function routeOf(name: string, stack: Stack): Route {
  const { RouteKey: routeKey, Target: target, AuthorizationType: kind = 'NONE', ...rest } = stack.properties(name)
  const key = String(routeKey)
  const [method = '', path = ''] = key.split(' ')
  const integration = byReference(
    'AWS::ApiGatewayV2::Integration',
    String(target).replace(/^integrations\//, ''),
    stack,
  )
  const logicalFunction = stack
    .ofType('AWS::Lambda::Function')
    .find((one) =>
      String(integration['IntegrationUri']).includes(String(stack.resolve({ 'Fn::GetAtt': [one, 'Arn'] }, one))),
    )
  if (logicalFunction === undefined) throw new Error(`The route "${key}" leads to no function`)
  if (integration['PayloadFormatVersion'] !== '2.0')
    throw new Error(`The route "${key}" has another payload format than 2.0`)
  const scopes = rest['AuthorizationScopes']
  return {
    ...{ key, method, logicalFunction },
    parts: path.split('/').slice(1),
    authorizer:
      kind === 'NONE'
        ? null
        : kind === 'AWS_IAM'
          ? 'AWS_IAM'
          : byReference('AWS::ApiGatewayV2::Authorizer', String(rest['AuthorizerId']), stack),
    scopes: scopes !== undefined && isList(scopes) ? scopes.map(String) : [],
    timeoutMs: Math.min(TIMEOUT_MS_MAX, Number(integration['TimeoutInMillis'] ?? TIMEOUT_MS_MAX)),
  }
}

function byReference(type: string, id: string, stack: Stack): JsonObject {
  const name = stack.ofType(type).find((one) => stack.resolve({ Ref: one }, one) === id)
  if (name === undefined) throw new Error(`There is no ${type} "${id}"`)
  return stack.properties(name)
}
