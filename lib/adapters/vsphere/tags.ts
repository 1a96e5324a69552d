// vSphere tags, which only the REST API has: /api on vSphere 7 and later, /rest before. A server with neither has none.

import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { HttpReply } from './https.ts'
import { retryReading, type VimSession } from './session.ts'
import { replyMalformed } from './values.ts'

/** How one generation of the REST API spells its paths; `value` wraps every answer of the older one. */
type Dialect = {
  readonly session: string
  readonly tagging: string
  readonly action: string
  readonly wrapped: boolean
}

const dialects: readonly Dialect[] = [
  { session: '/api/session', tagging: '/api/cis/tagging', action: 'action', wrapped: false },
  {
    session: '/rest/com/vmware/cis/session',
    tagging: '/rest/com/vmware/cis/tagging',
    action: '~action',
    wrapped: true,
  },
]

type Rest = { readonly dialect: Dialect; readonly token: string }

const LIMIT_MS = 60_000
const BYTES_MAX = 64 * 1024 * 1024
const TAGS_A_CALL = 100
const READS_AT_ONCE = 4

/**
 * "category/tag" of each VM, by moref value.
 * @returns an empty map where the server has no tagging API
 * @throws BackupError `vcenter-permission` when the user may not read tags
 */
export function readTags(session: VimSession, cancel: Cancel): Promise<ReadonlyMap<string, readonly string[]>> {
  return retryReading(session.settings, () => readAll(session, cancel), cancel)
}

async function readAll(session: VimSession, cancel: Cancel): Promise<ReadonlyMap<string, readonly string[]>> {
  if (session.content.about.apiType === 'HostAgent') return new Map()
  const rest = await openRest(session, cancel)
  if (rest === null) return new Map()
  try {
    return await tagsByVm(session, rest, cancel)
  } finally {
    await request(session, { rest, method: 'DELETE', path: rest.dialect.session }, cancel).catch(() => undefined)
  }
}

async function tagsByVm(
  session: VimSession,
  rest: Rest,
  cancel: Cancel,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const { tagging, action } = rest.dialect
  // The older dialect marks identifiers in paths.
  const idPath = (id: string) => encodeURIComponent(rest.dialect.wrapped ? `id:${id}` : id)
  const get = (path: string) => request(session, { rest, method: 'GET', path: `${tagging}/${path}` }, cancel)
  const tagIds = textList(await get('tag'))
  const categories = new Map<string, string>()
  const names = new Map<string, string>()
  await eachFew(tagIds, async (id) => {
    const tag = await get(`tag/${idPath(id)}`)
    const categoryId = textIn(tag, 'category_id')
    if (!categories.has(categoryId)) {
      const category = await get(`category/${idPath(categoryId)}`)
      categories.set(categoryId, textIn(category, 'name'))
    }
    names.set(id, `${categories.get(categoryId)}/${textIn(tag, 'name')}`)
  })
  const byVm = new Map<string, string[]>()
  for (let start = 0; start < tagIds.length; start += TAGS_A_CALL) {
    const path = `${tagging}/tag-association?${action}=list-attached-objects-on-tags`
    const body = { tag_ids: tagIds.slice(start, start + TAGS_A_CALL) }
    for (const attached of listFrom(await request(session, { rest, method: 'POST', path, body }, cancel))) {
      const name = names.get(textIn(attached, 'tag_id'))
      for (const object of listFrom(memberOf(attached, 'object_ids'))) {
        if (textIn(object, 'type') !== 'VirtualMachine' || name === undefined) continue
        const id = textIn(object, 'id')
        byVm.set(id, [...(byVm.get(id) ?? []), name])
      }
    }
  }
  return new Map([...byVm].map(([id, tags]) => [id, tags.toSorted()]))
}

/** @returns null when the server knows neither dialect */
async function openRest(session: VimSession, cancel: Cancel): Promise<Rest | null> {
  const { user, password } = await session.settings.account(cancel)
  const basic = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  for (const dialect of dialects) {
    const reply = await session.exchangeBare(
      {
        method: 'POST',
        path: dialect.session,
        headers: { Authorization: basic, 'vmware-use-header-authn': 'true' },
        body: '',
        limitMs: LIMIT_MS,
        bytesMax: BYTES_MAX,
      },
      cancel,
    )
    // 404 and 405 are what servers without this API say; a refusal is said otherwise and must not look like "no tags".
    if (reply.status === 404 || reply.status === 405) continue
    const token = answerOf(reply, { dialect, what: 'Cannot log in to the REST API' })
    if (typeof token !== 'string') throw replyMalformed('the REST session is no text')
    return { dialect, token }
  }
  return null
}

async function request(
  session: VimSession,
  call: {
    readonly rest: Rest
    readonly method: 'GET' | 'POST' | 'DELETE'
    readonly path: string
    readonly body?: unknown
  },
  cancel: Cancel,
): Promise<unknown> {
  const { rest, method, path, body } = call
  const json = body === undefined ? {} : { body: JSON.stringify(body) }
  const headers = {
    'vmware-api-session-id': rest.token,
    Accept: 'application/json',
    ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
  }
  const reply = await session.exchangeBare(
    { method, path, headers, ...json, limitMs: LIMIT_MS, bytesMax: BYTES_MAX },
    cancel,
  )
  return answerOf(reply, { dialect: rest.dialect, what: 'Cannot read the tags' })
}

function answerOf(reply: HttpReply, { dialect, what }: { readonly dialect: Dialect; readonly what: string }): unknown {
  const { status, body } = reply
  if (status === 401 || status === 403) {
    throw new BackupError(`${what}: vCenter refuses with HTTP status ${status}`, {
      code: 'vcenter-permission',
      kind: 'refused',
      hint: 'The user needs read access to tags, also when no policy selects by them',
      facts: { status },
    })
  }
  if (status < 200 || status > 299) {
    throw new BackupError(`${what}: vCenter answers HTTP status ${status}`, {
      code: 'vcenter-http-status',
      retry: status >= 500 || status === 429 ? 'later' : 'no',
      facts: { status },
    })
  }
  if (body.byteLength === 0) return null
  const parsed = parseJson(body.toString('utf8'))
  return dialect.wrapped ? memberOf(parsed, 'value') : parsed
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw replyMalformed('the REST API sent no JSON', cause)
  }
}

async function eachFew(ids: readonly string[], read: (id: string) => Promise<void>): Promise<void> {
  for (let start = 0; start < ids.length; start += READS_AT_ONCE) {
    await Promise.all(ids.slice(start, start + READS_AT_ONCE).map(read))
  }
}

function listFrom(value: unknown): readonly unknown[] {
  if (value === null || value === undefined) return []
  if (Array.isArray(value)) return value
  throw replyMalformed('a list of the REST API is no list')
}

function textList(value: unknown): readonly string[] {
  return listFrom(value).map((member) => {
    if (typeof member !== 'string') throw replyMalformed('an id of the REST API is no text')
    return member
  })
}

function textIn(from: unknown, name: string): string {
  const value = memberOf(from, name)
  if (typeof value !== 'string') throw replyMalformed(`the REST API gives no "${name}"`)
  return value
}

function memberOf(from: unknown, name: string): unknown {
  if (typeof from !== 'object' || from === null) return undefined
  return Object.entries(from).find(([own]) => own === name)?.[1]
}
