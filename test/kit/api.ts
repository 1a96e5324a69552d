// The HTTP API over the memory job store, asked through real events of API Gateway; every answer is held against the document.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryLog } from '../../lib/adapters/memory/log.ts'
import { memoryQueue } from '../../lib/adapters/memory/queue.ts'
import { type ManualClock, manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { answerApi } from '../../lib/compose/api.ts'
import type { ApiDeps } from '../../lib/compose/api-call.ts'
import { type ApiResponse, requestOfGateway } from '../../lib/wire/api/http.ts'
import { openApiDocument } from '../../lib/wire/api/openapi.ts'
import { ROUTES, type Route } from '../../lib/wire/api/routes.ts'

export const cancel = { signal: new AbortController().signal }

export type TestApi = {
  readonly deps: ApiDeps
  readonly clock: ManualClock
  readonly log: ReturnType<typeof memoryLog>
}

export function testApi(change: Partial<ApiDeps> = {}): TestApi {
  const clock = manualClock()
  const log = memoryLog()
  const deps: ApiDeps = {
    clock,
    random: seededRandom(1),
    log,
    jobStore: memoryJobStore(),
    sender: memoryQueue({ clock, receivesMax: 5 }),
    access: { kind: 'jwt', scopePrefix: 'coldframe/' },
    targets: [{ kind: 'bucket', bucket: 'restored', prefix: 'vms/' }],
    ...change,
  }
  return { deps, clock, log }
}

export type Ask = {
  readonly method?: string
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** Text is sent as it is, anything else as JSON; left out: there is none. */
  readonly body?: unknown
  /** Null: nobody was authenticated. */
  readonly scope?: string | null
  readonly subject?: string
  readonly authorizer?: unknown
}

const sample: Readonly<Record<string, unknown>> = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', '..', 'events', 'api.json'), 'utf8'),
)

/** The event that API Gateway makes of a request. */
export function gatewayEvent(ask: Ask): unknown {
  const { path, query, scope = 'coldframe/read coldframe/backup coldframe/restore', subject = 'ops' } = ask
  const body = ask.body === undefined || typeof ask.body === 'string' ? ask.body : JSON.stringify(ask.body)
  const method = ask.method ?? (body === undefined ? 'GET' : 'POST')
  const jwt = { jwt: { claims: { sub: subject, scope }, scopes: null } }
  return {
    ...sample,
    rawPath: path,
    headers: { 'content-type': 'application/json', ...ask.headers },
    queryStringParameters: query,
    body,
    requestContext: {
      stage: '$default',
      http: { method, path },
      ...(scope === null ? {} : { authorizer: ask.authorizer ?? jwt }),
    },
  }
}

export type Asked = ApiResponse & { readonly json: ReturnType<typeof JSON.parse> }

/** Asks once. @throws when the answer is not what the document says */
export async function ask({ deps }: TestApi, request: Ask): Promise<Asked> {
  const gateway = requestOfGateway(gatewayEvent(request))
  const response = await answerApi(gateway, deps, cancel)
  const json: unknown = JSON.parse(response.body)
  expectAsDocumented(gateway.method, gateway.path, { ...response, json })
  return { ...response, json }
}

const document = openApiDocument()
const ajv = new Ajv2020({ strict: false, validateFormats: false })
ajv.addSchema({ $id: 'api', ...document })
const checks = new Map<string, ValidateFunction>()

function checkOf(pointer: string): ValidateFunction {
  const known = checks.get(pointer)
  if (known !== undefined) return known
  const made = ajv.compile({ $ref: `api#/${pointer}` })
  checks.set(pointer, made)
  return made
}

function expectAsDocumented(method: string, path: string, response: ApiResponse & { readonly json: unknown }): void {
  const { status, headers, json } = response
  const isProblem = status >= 400
  const wanted = isProblem ? 'application/problem+json' : 'application/json'
  if (headers['content-type'] !== wanted) throw new Error(`${status} is of type ${headers['content-type']}`)
  const route = Object.values<Route>(ROUTES).find(
    (one) => one.method === method && new RegExp(`^${one.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path),
  )
  if (!isProblem && (route === undefined || route.status !== status)) throw new Error(`${status} is not documented`)
  if (!isProblem && route?.answer === null) return
  const escaped = (route?.path ?? '').replaceAll('/', '~1').replaceAll('{', '%7B').replaceAll('}', '%7D')
  const pointer = isProblem
    ? 'components/schemas/Problem'
    : `paths/${escaped}/${method.toLowerCase()}/responses/${status}/content/application~1json/schema`
  const check = checkOf(pointer)
  if (!check(json)) throw new Error(`${method} ${path} answers ${JSON.stringify(check.errors)}`)
}
