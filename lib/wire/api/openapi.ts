// The OpenAPI 3.1 document of the HTTP API, made from the table of routes and the schemas that check requests.

import * as z from 'zod'
import {
  alarmDocument,
  jobDocument,
  operationDocument,
  outcome,
  pointDocument,
  policyDocument,
  policyTextDocument,
  problemDocument,
  runDocument,
} from './documents.ts'
import { ROUTES, type Route, SCOPES } from './routes.ts'

const NAMES = {
  Outcome: outcome,
  Run: runDocument,
  Job: jobDocument,
  Point: pointDocument,
  Operation: operationDocument,
  Policy: policyDocument,
  PolicyText: policyTextDocument,
  Alarm: alarmDocument,
  Problem: problemDocument,
} as const

type Json = Readonly<Record<string, unknown>>

const problem = {
  description: 'What is wrong, and what to do about it',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}

/** Of the API, not of the program: raised with what clients can see. */
const API_VERSION = '1.0.0'

export function openApiDocument(): Json {
  const schemas = componentSchemas()
  const paths: Record<string, Record<string, Json>> = {}
  for (const [name, route] of Object.entries<Route>(ROUTES)) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(name, route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Coldframe',
      version: API_VERSION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'Starts and follows backups of VMware vSphere VMs, restores and checks. Lists are newest first and go on by cursor. Errors are problem documents.',
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        token: {
          type: 'oauth2',
          description:
            'A token of the issuer that the stack trusts; its scopes are named <prefix><scope>, coldframe/read for example',
          flows: {
            clientCredentials: {
              tokenUrl: 'https://issuer.example/token',
              scopes: Object.fromEntries(SCOPES.map((scope) => [scope, SCOPE_WORDS[scope]])),
            },
          },
        },
        iam: {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description: 'AWS Signature Version 4 for execute-api; the stack says which principal has which scope',
        },
      },
    },
  }
}

const SCOPE_WORDS: Readonly<Record<(typeof SCOPES)[number], string>> = {
  read: 'See runs, jobs, restore points, operations, policies and alarms',
  backup: 'Start and cancel backups',
  restore: 'Start and cancel restores and checks',
  apply: 'Apply and remove policies',
}

/** Names of schemas by the schema itself, so that what is nested refers to what is named. */
function componentSchemas(): Readonly<Record<string, Json>> {
  const registry = z.registry<{ id: string }>()
  for (const [name, schema] of Object.entries(NAMES)) registry.add(schema, { id: name })
  for (const [name, route] of Object.entries<Route>(ROUTES)) {
    if (route.body !== null) registry.add(route.body, { id: bodyName(name, route) })
    if (route.answer !== null && !registry.has(route.answer)) registry.add(route.answer, { id: `${upper(name)}Answer` })
  }
  const { schemas } = z.toJSONSchema(registry, { io: 'input', uri: (id) => `#/components/schemas/${id}` })
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, withoutIds(schema)]))
}

function withoutIds({ $id, $schema, ...rest }: Json): Json {
  return rest
}

function operationOf(name: string, route: Route): Json {
  const { body, scope, summary, status, idempotent } = route
  return {
    operationId: name,
    summary,
    description: `Needs the scope "${scope}".`,
    security: [{ token: [scope] }, { iam: [] }],
    parameters: [
      ...pathParameters(route.path),
      ...queryParameters(route.query),
      ...(idempotent === true ? [idempotencyKey] : []),
    ],
    ...(body === null ? {} : { requestBody: { required: !isEmpty(body), content: json(bodyName(name, route)) } }),
    responses: {
      [status]: { description: status === 202 ? 'It is asked for' : 'As it is now', ...answerOf(name, route) },
      default: problem,
    },
  }
}

function answerOf(name: string, route: Route): Json {
  if (route.answer === null) return { content: { 'application/json': { schema: { type: 'object' } } } }
  const named = Object.entries(NAMES).find(([, schema]) => schema === route.answer)
  const headers = {
    'Retry-After': { description: 'Seconds; while it is not over', schema: { type: 'integer' } },
    ...(route.status === 202 ? { Location: { description: 'Where to look again', schema: { type: 'string' } } } : {}),
  }
  return { content: json(named?.[0] ?? `${upper(name)}Answer`), headers }
}

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'The same key of the same caller asks for the same thing again instead of a new one',
  schema: { type: 'string', minLength: 1, maxLength: 128 },
}

function json(name: string): Json {
  return { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } }
}

function pathParameters(path: string): readonly Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
}

function queryParameters(query: z.ZodType): readonly Json[] {
  const { properties = {} } = z.toJSONSchema(query, { io: 'input' })
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: false, schema }))
}

function isEmpty(body: z.ZodType): boolean {
  return Object.keys(z.toJSONSchema(body, { io: 'input' }).properties ?? {}).length === 0
}

/** Requests that only name something share one empty body. */
function bodyName(name: string, { body }: Route): string {
  return body !== null && isEmpty(body) ? 'Nothing' : upper(name)
}

function upper(name: string): string {
  return `${name.slice(0, 1).toUpperCase()}${name.slice(1)}`
}
