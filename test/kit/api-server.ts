// The HTTP API on the loopback, as the gateway carries it: checks tokens, makes events, answers. For clients that are to be tested.

import { createServer, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { answerApi } from '../../lib/compose/api.ts'
import type { ApiDeps } from '../../lib/compose/api-call.ts'
import { requestOfGateway } from '../../lib/wire/api/http.ts'
import { listenOnLoopback } from './loopback.ts'

export type ApiServer = AsyncDisposable & {
  readonly url: string
  /** "METHOD /path" of each request, in order. */
  readonly asked: string[]
  /** What becomes of the next requests: 'lose' does the work and drops the answer; a number is the gateway's own refusal. */
  readonly fates: ('lose' | number)[]
}

/** @param tokens scopes by token */
export async function openApiServer(deps: ApiDeps, tokens: Readonly<Record<string, string>>): Promise<ApiServer> {
  const asked: string[] = []
  const fates: ApiServer['fates'] = []
  const server = createServer((incoming, outgoing) => {
    const answer = async (): Promise<void> => {
      asked.push(`${incoming.method} ${incoming.url}`)
      const fate = fates.shift()
      const token = /^Bearer (.+)$/.exec(incoming.headers.authorization ?? '')?.[1] ?? ''
      const scope = tokens[token]
      const refused = typeof fate === 'number' ? fate : scope === undefined ? 401 : null
      if (refused !== null) {
        outgoing.writeHead(refused, { 'content-type': 'application/json' })
        outgoing.end(JSON.stringify({ message: refused === 401 ? 'Unauthorized' : 'Service Unavailable' }))
        return
      }
      const event = eventOf(incoming, { body: await buffer(incoming), scope: scope ?? '' })
      const { status, headers, body } = await answerApi(requestOfGateway(event), deps, {
        signal: AbortSignal.timeout(20_000),
      })
      if (fate === 'lose') return void outgoing.destroy()
      outgoing.writeHead(status, headers)
      outgoing.end(body)
    }
    answer().catch((error: unknown) => outgoing.destroy(error instanceof Error ? error : undefined))
  })
  return { asked, fates, ...(await listenOnLoopback(server)) }
}

/** Payload format 2.0: bodies in Base64, as the gateway may send them. */
function eventOf(incoming: IncomingMessage, { body, scope }: { readonly body: Buffer; readonly scope: string }) {
  const url = new URL(incoming.url ?? '/', 'http://api')
  return {
    version: '2.0',
    rawPath: url.pathname,
    headers: Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)])),
    ...(url.search === '' ? {} : { queryStringParameters: Object.fromEntries(url.searchParams) }),
    ...(body.byteLength === 0 ? {} : { body: body.toString('base64'), isBase64Encoded: true }),
    requestContext: {
      stage: '$default',
      http: { method: incoming.method },
      authorizer: { jwt: { claims: { sub: 'cli', scope } } },
    },
  }
}
