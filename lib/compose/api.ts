// The HTTP API: tells requests apart by the table of routes, lets in who may, checks what they sent, and answers. It never opens the
// repository and holds no secret: it reads and writes records of state and wakes stages.

import { assert, BackupError, quote } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { callerOf, requireScope } from '../wire/api/access.ts'
import { type ApiRequest, type ApiResponse, idempotencyKeyOf, problemOf, readBody } from '../wire/api/http.ts'
import { openApiDocument } from '../wire/api/openapi.ts'
import { readRequest } from '../wire/api/requests.ts'
import { ROUTES, type Route, type RouteName } from '../wire/api/routes.ts'
import type { ApiAnswer, ApiDeps } from './api-call.ts'
import { HANDLERS } from './api-handlers.ts'

/** Never throws: whatever happens becomes an answer. */
export async function answerApi(request: ApiRequest, deps: ApiDeps, cancel: Cancel): Promise<ApiResponse> {
  const startedMs = deps.clock.monotonicMs()
  let name: string = 'none'
  let response: ApiResponse
  try {
    const found = routeOf(request)
    name = found.name
    response = await answerRoute(found, request, { deps, cancel })
  } catch (error) {
    response = problemOf(error)
    if (response.status >= 500) deps.log.error('api.failed', error, { route: name })
  }
  const elapsedMs = Math.round(deps.clock.monotonicMs() - startedMs)
  deps.log.info('api.answered', { route: name, status: response.status, elapsedMs })
  return response
}

type Found = { readonly name: RouteName; readonly route: Route; readonly named: Readonly<Record<string, string>> }

async function answerRoute(
  { name, route, named }: Found,
  request: ApiRequest,
  { deps, cancel }: { readonly deps: ApiDeps; readonly cancel: Cancel },
): Promise<ApiResponse> {
  const caller = callerOf(request.proof, deps.access)
  requireScope(caller, route.scope)
  const { query } = request
  const body = route.body === null ? null : readBody(request)
  // Told with every fault; handlers then parse what is known to be good.
  readRequest(query, { schema: route.query, what: 'query' })
  if (route.body !== null) readRequest(body, { schema: route.body, what: 'body' })
  const key = route.idempotent === true ? idempotencyKeyOf(request) : null
  if (name === 'getOpenApi') return jsonOf(200, { body: openApiDocument() })
  const answer = await HANDLERS[name]({ caller, named, query, body, key, deps, cancel })
  if (route.status === 202)
    deps.log.info('api.asked', { route: name, caller: caller.name, location: answer.location ?? '' })
  return jsonOf(route.status, answer)
}

function jsonOf(status: number, { body, location, retryAfter }: ApiAnswer): ApiResponse {
  return {
    status,
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      ...(location === undefined ? {} : { location }),
      ...(retryAfter === undefined || retryAfter === null ? {} : { 'retry-after': String(retryAfter) }),
    },
    body: JSON.stringify(body),
  }
}

/** @throws BackupError `route-unknown`, `method-not-allowed` */
function routeOf({ method, path }: ApiRequest): Found {
  const others: string[] = []
  for (const [name, route] of Object.entries<Route>(ROUTES)) {
    const named = parametersOf(route.path, path)
    if (named === null) continue
    if (route.method !== method) others.push(route.method)
    else {
      assert(isRouteName(name), 'the table has its own names')
      return { name, route, named }
    }
  }
  const hint = 'GET /v1/openapi.json lists what there is'
  if (others.length === 0)
    throw new BackupError(`There is nothing at ${quote(path)}`, { code: 'route-unknown', kind: 'not-found', hint })
  const allow = [...new Set(others)].join(', ')
  throw new BackupError(`Cannot ${quote(method)} ${quote(path)}: it takes ${allow}`, {
    code: 'method-not-allowed',
    kind: 'usage',
    hint,
    facts: { allow },
  })
}

function isRouteName(name: string): name is RouteName {
  return Object.hasOwn(ROUTES, name)
}

/** @returns null when the path is of another route; parameters are of unreserved characters, which need no encoding */
function parametersOf(pattern: string, path: string): Readonly<Record<string, string>> | null {
  const wanted = pattern.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return null
  const named: Record<string, string> = {}
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? ''
    const name = /^\{(\w+)\}$/.exec(part)?.[1]
    if (name === undefined ? part !== value : !/^[A-Za-z0-9._~-]{1,128}$/.test(value)) return null
    if (name !== undefined) named[name] = value
  }
  return named
}
