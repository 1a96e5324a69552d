// The client of the HTTP API: requests that a gateway would let in, and what becomes of answers that are none.

import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { apiClient } from '../../../lib/adapters/aws/api-client.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import { checkSigv4 } from '../../kit/sigv4-check.ts'

const cancel = { signal: AbortSignal.timeout(20_000) }
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret', sessionToken: 'session' }

async function serverOf(answer: (request: IncomingMessage, body: Buffer, response: ServerResponse) => void) {
  const server = createServer(async (request, response) => answer(request, await buffer(request), response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const around = { clock: { ...systemClock, sleep: async () => undefined }, random: seededRandom(1) }
const signed = { kind: 'iam', region: 'eu-central-1', credentials: { read: async () => credentials } } as const

it.each([
  { method: 'GET', path: '/v1/runs', query: { limit: '10', cursor: 'a_b-c' } },
  { method: 'POST', path: '/v1/runs', body: { vms: ['tä st'] }, key: 'k 1' },
] as const)('signs a request as execute-api checks it: %j', async (question) => {
  const verdicts: unknown[] = []
  await using server = await serverOf((request, body, response) => {
    const bodySha256 = createHash('sha256').update(body).digest('hex')
    const { method = '', url = '', headers } = request
    const rules = { service: 'execute-api', region: 'eu-central-1', credentials: [credentials], nowMs: Date.now() }
    verdicts.push(checkSigv4({ method, url, headers }, { ...rules, style: 'other', bodySha256 }))
    response.setHeader('retry-after', '7').end('{}')
  })
  const answered = await apiClient({ ...around, url: server.url, proof: signed }).ask(question, cancel)
  expect(verdicts).toMatchObject([{ kind: 'signed', accessKeyId: 'AKIDEXAMPLE' }])
  expect(answered).toEqual({ answer: {}, retryAfterMs: 7_000 })
})

it.each([
  [401, '{"message":"Unauthorized"}', 'not-authenticated', 'refused', 1],
  [403, '{"message":"Forbidden"}', 'not-authenticated', 'refused', 1],
  [503, '<html>', 'api-refused', 'failed', 4],
  [429, '{"message":"Too Many Requests"}', 'api-refused', 'failed', 4],
  [404, 'nothing', 'api-refused', 'not-found', 1],
  [500, '{"code":1}', 'api-refused', 'failed', 1],
] as const)('takes %i with %s for %s', async (status, text, code, kind, asked) => {
  let count = 0
  await using server = await serverOf((_request, _body, response) => {
    count++
    response.writeHead(status).end(text)
  })
  const client = apiClient({ ...around, url: server.url, proof: { kind: 'token', token: 't' } })
  await expect(client.ask({ method: 'GET', path: '/v1/runs' }, cancel)).rejects.toMatchObject({ code, kind })
  expect(count).toBe(asked)
})

it('follows no one to another address with its token', async () => {
  await using server = await serverOf((_request, _body, response) => {
    response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end()
  })
  const client = apiClient({ ...around, url: server.url, proof: { kind: 'token', token: 't' } })
  await expect(client.ask({ method: 'GET', path: '/v1/runs' }, cancel)).rejects.toMatchObject({
    code: 'api-unreachable',
  })
})
