// Sessions and tags over REST: the /api form (vSphere 7.0 U2 and later) and the older /rest/com/vmware form of the same.

import { utf8Decode } from '../../lib/base/bytes.ts'
import { BackupError, malformed } from '../../lib/base/errors.ts'
import { isAbort } from '../../lib/base/time-limit.ts'
import { SimFault } from '../machine/types.ts'
import type { Front } from './front.ts'
import { answer, answerStatus, basicOf, type Exchange, readBody } from './http.ts'
import { meetMishap } from './mishaps.ts'
import { uuidOf } from './objects/compute.ts'
import type { Session } from './sessions.ts'

const BODY_BYTES_MAX = 1024 * 1024
const SESSION_HEADER = 'vmware-api-session-id'

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
/** `legacy`: answers stand inside {"value": …}. */
type Route = { readonly path: string; readonly action: string; readonly method: string; readonly legacy: boolean }
type Failure = { readonly status: number; readonly kind: string; readonly message: string }
type Reply = { readonly status: number; readonly body: Json | undefined }

export async function taggingEndpoint(front: Front, exchange: Exchange): Promise<void> {
  const route = routeOf(exchange)
  try {
    const mishap = await meetMishap(front, { call: '/api', exchange, session: sessionOf(front, exchange) })
    if (mishap === 'answered') return
    if (route === null) return answerStatus(exchange, 404)
    const { status, body } = await replyTo(front, { exchange, route })
    if (body === undefined) return void exchange.response.writeHead(status).end()
    const shown = route.legacy ? { value: body } : body
    answer(exchange, { status, type: 'application/json', body: JSON.stringify(shown) })
  } catch (error) {
    if (isAbort(error) && exchange.signal.aborted) return
    if (error instanceof SimFault) return fail(exchange, { status: 500, kind: 'ERROR', message: error.message })
    if (error instanceof BackupError)
      return fail(exchange, { status: 400, kind: 'INVALID_ARGUMENT', message: error.message })
    throw error
  }
}

function routeOf({ url, request }: Exchange): Route | null {
  const method = request.method ?? 'GET'
  const action = url.searchParams.get('action') ?? url.searchParams.get('~action') ?? ''
  const path = decodeURIComponent(url.pathname)
  const modern = /^\/api\/(session|cis\/tagging\/.*)$/.exec(path)?.[1]
  if (modern !== undefined) return { path: modern.replace(/^cis\//, ''), action, method, legacy: false }
  const old = /^\/rest\/com\/vmware\/cis\/(session|tagging\/.*)$/.exec(path)?.[1]
  return old === undefined ? null : { path: old.replace('/id:', '/'), action, method, legacy: true }
}

type RestCall = { readonly exchange: Exchange; readonly route: Route }

async function replyTo(front: Front, { exchange, route }: RestCall): Promise<Reply> {
  if (route.path === 'session') return sessionReply(front, { exchange, route })
  if (sessionOf(front, exchange) === null)
    return errorReply({ status: 401, kind: 'UNAUTHENTICATED', message: 'This method requires authentication.' })
  const text = route.method === 'POST' ? await readBody(exchange.request, BODY_BYTES_MAX) : new Uint8Array(0)
  if (text === null) return errorReply({ status: 413, kind: 'INVALID_ARGUMENT', message: 'The request is too large.' })
  const request = parseRequest(text)
  const [, kind = '', id = ''] = route.path.split('/')
  switch (`${route.method} ${kind} ${route.action}`.trim()) {
    case 'GET category':
      return id === '' ? found(categories(front).map((each) => each.id)) : oneOf(categories(front), id)
    case 'GET tag':
      return id === '' ? found(tags(front).map((each) => each.id)) : oneOf(tags(front), id)
    case 'POST tag list-tags-for-category':
      return found(
        tags(front)
          .filter((tag) => tag.category_id === (textIn(request, 'category_id') ?? id))
          .map((tag) => tag.id),
      )
    case 'POST tag-association list-attached-objects-on-tags':
      return found(
        textsIn(request, 'tag_ids').map((tagId) => ({ tag_id: tagId, object_ids: attachedTo(front, tagId) })),
      )
    case 'POST tag-association list-attached-objects':
      return found(attachedTo(front, id === '' ? (textIn(request, 'tag_id') ?? '') : id))
    case 'POST tag-association list-attached-tags-on-objects':
      return found(
        objectsIn(request, 'object_ids').map((object) => ({ object_id: object, tag_ids: tagsOn(front, object.id) })),
      )
    case 'POST tag-association list-attached-tags':
      return found(tagsOn(front, objectIn(request, 'object_id')?.id ?? ''))
    default:
      return errorReply({ status: 404, kind: 'NOT_FOUND', message: 'The operation is unknown or not simulated.' })
  }
}

function sessionReply(front: Front, { exchange, route }: RestCall): Reply {
  const session = sessionOf(front, exchange)
  if (route.method === 'POST') {
    const credentials = basicOf(exchange.request)
    const from = {
      ipAddress: exchange.request.socket.remoteAddress ?? '',
      userAgent: exchange.request.headers['user-agent'] ?? '',
    }
    const made = credentials === null ? null : front.sessions.login(credentials, from)
    if (made === null) return errorReply({ status: 401, kind: 'UNAUTHENTICATED', message: 'Authentication required.' })
    return { status: route.legacy ? 200 : 201, body: made.cookie }
  }
  if (session === null)
    return errorReply({ status: 401, kind: 'UNAUTHENTICATED', message: 'This method requires authentication.' })
  if (route.method !== 'DELETE') {
    return found({
      user: session.userName,
      created_time: new Date(session.loginMs).toISOString(),
      last_accessed_time: new Date(session.lastActiveMs).toISOString(),
    })
  }
  front.sessions.end(session)
  return route.legacy ? found({}) : { status: 204, body: undefined }
}

function sessionOf(front: Front, { request }: Exchange): Session | null {
  const id = request.headers[SESSION_HEADER]
  return typeof id === 'string' ? front.sessions.byCookie(id) : null
}

type Category = {
  readonly id: string
  readonly name: string
  readonly description: string
  readonly cardinality: string
  readonly associable_types: readonly string[]
  readonly used_by: readonly string[]
}
type Tag = {
  readonly id: string
  readonly category_id: string
  readonly name: string
  readonly description: string
  readonly used_by: readonly string[]
}

function paths(front: Front): readonly string[] {
  return [...new Set(front.world.machines().flatMap(({ place }) => place.tags))].toSorted()
}

function categories(front: Front): readonly Category[] {
  const names = new Set(paths(front).map((path) => path.slice(0, path.indexOf('/'))))
  return [...names].map((name) => ({
    id: categoryId(name),
    name,
    description: '',
    cardinality: 'MULTIPLE',
    associable_types: [],
    used_by: [],
  }))
}

function tags(front: Front): readonly Tag[] {
  return paths(front).map((path) => ({
    id: tagId(path),
    category_id: categoryId(path.slice(0, path.indexOf('/'))),
    name: path.slice(path.indexOf('/') + 1),
    description: '',
    used_by: [],
  }))
}

type ObjectId = { readonly id: string; readonly type: string }

function attachedTo(front: Front, id: string): readonly ObjectId[] {
  const machines = front.world.machines().filter(({ place }) => place.tags.some((path) => tagId(path) === id))
  return machines.map(({ ref }) => ({ id: ref.id, type: ref.type }))
}

function tagsOn(front: Front, id: string): readonly string[] {
  const entity = front.world.find(id)
  return entity?.kind === 'machine' ? entity.place.tags.map(tagId) : []
}

function categoryId(name: string): string {
  return `urn:vmomi:InventoryServiceCategory:${uuidOf(`category ${name}`)}:GLOBAL`
}

function tagId(path: string): string {
  return `urn:vmomi:InventoryServiceTag:${uuidOf(`tag ${path}`)}:GLOBAL`
}

function oneOf(all: readonly (Category | Tag)[], id: string): Reply {
  const one = all.find((each) => each.id === id)
  return one === undefined
    ? errorReply({ status: 404, kind: 'NOT_FOUND', message: `"${id}" does not exist` })
    : found({ ...one })
}

function found(body: Json): Reply {
  return { status: 200, body }
}

function errorReply({ status, kind, message }: Failure): Reply {
  return {
    status,
    body: { error_type: kind, messages: [{ args: [], default_message: message, id: kind.toLowerCase() }] },
  }
}

function fail(exchange: Exchange, error: Failure): void {
  const { status, body } = errorReply(error)
  answer(exchange, { status, type: 'application/json', body: JSON.stringify(body) })
}

function parseRequest(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return {}
  try {
    return JSON.parse(utf8Decode(bytes))
  } catch {
    throw malformed('request', '', 'JSON is needed')
  }
}

function memberOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.entries(value).find(([name]) => name === key)?.[1]
}

function textIn(value: unknown, key: string): string | null {
  const text = memberOf(value, key)
  return typeof text === 'string' ? text : null
}

function textsIn(value: unknown, key: string): readonly string[] {
  const list: unknown = memberOf(value, key)
  return Array.isArray(list) ? list.filter((item) => typeof item === 'string') : []
}

function objectIn(value: unknown, key: string): ObjectId | null {
  const member = memberOf(value, key)
  const [id, type] = [textIn(member, 'id'), textIn(member, 'type')]
  return id === null || type === null ? null : { id, type }
}

function objectsIn(value: unknown, key: string): readonly ObjectId[] {
  const list: unknown = memberOf(value, key)
  if (!Array.isArray(list)) return []
  return list.map((item: unknown) => objectIn({ item }, 'item')).filter((object) => object !== null)
}
