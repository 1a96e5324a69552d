// The site's HTTP API as a client of it: with a token, over HTTP, through the routes of the template.

import type { Cancel } from '../../lib/base/time-limit.ts'
import { tokenFor } from './authorize.ts'
import type { Site } from './site.ts'
import type { JsonObject } from './template.ts'

export type ApiReply = { readonly status: number; readonly body: JsonObject }

/** The stack's parameters for an API with tokens that authorizer() knows. */
export const API_PARAMETERS = { ApiAuth: 'jwt', JwtIssuer: 'https://issuer.test', JwtAudience: 'coldframe' } as const

const TOKEN = tokenFor('operator', ['coldframe/read', 'coldframe/backup', 'coldframe/restore'])

/** @param init.key an Idempotency-Key */
async function askApi(
  { cloud }: Site,
  path: string,
  init: { readonly body?: JsonObject; readonly key?: string; readonly token?: string | null },
  { signal }: Cancel,
): Promise<ApiReply> {
  const { body, key, token = TOKEN } = init
  const response = await fetch(`${cloud.api.url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal,
  })
  return { status: response.status, body: (await response.json()) as JsonObject }
}

/** Asks for something by POST, and asks again as a client does that has lost the answer: it must be told of the same. */
export async function startByApi(site: Site, path: string, body: JsonObject, cancel: Cancel): Promise<string> {
  const replies = [
    await askApi(site, path, { body, key: `key of ${path}` }, cancel),
    await askApi(site, path, { body, key: `key of ${path}` }, cancel),
  ]
  const ids = replies.map((reply) => reply.body['id'])
  if (replies.some(({ status }) => status !== 202) || typeof ids[0] !== 'string' || ids[0] !== ids[1])
    throw new Error(`POST ${path} was answered with ${JSON.stringify(replies)}`)
  return ids[0]
}

/** Works until what lies at the path is done. */
export async function untilDoneByApi(site: Site, path: string, cancel: Cancel): Promise<JsonObject> {
  let last: ApiReply = { status: 0, body: {} }
  const isDone = async () => {
    last = await askApi(site, path, {}, cancel)
    return last.status !== 200 || last.body['state'] === 'done'
  }
  await site.cloud.run(isDone, { limitMs: 24 * 3_600_000 })
  if (last.status !== 200) throw new Error(`GET ${path} was answered with ${JSON.stringify(last)}`)
  return last.body
}

/** Who brings no proof, or too little of one, is kept out. */
export async function refusalFaults(site: Site, cancel: Cancel): Promise<readonly string[]> {
  const cases = [
    ['no token', null, 401],
    ['a forged token', `${TOKEN.slice(0, -4)}AAAA`, 401],
    ['a token that may only read', tokenFor('reader', ['coldframe/read']), 403],
  ] as const
  const faults: string[] = []
  for (const [what, token, expected] of cases) {
    const { status } = await askApi(site, '/v1/runs', { body: { policy: 'plain' }, token }, cancel)
    if (status !== expected) faults.push(`With ${what} the API answers ${status}, not ${expected}`)
  }
  return faults
}
