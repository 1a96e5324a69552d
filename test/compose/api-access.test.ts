// The HTTP API: who may do what, and requests that are wrong.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseApiAccess } from '../../lib/wire/api/access.ts'
import { ROUTES, type Route, SCOPES } from '../../lib/wire/api/routes.ts'
import { type Ask, ask, cancel, testApi } from '../kit/api.ts'

describe('access', () => {
  const routes = Object.entries<Route>(ROUTES)
  const bodies: Readonly<Record<string, unknown>> = {
    startRun: { vms: ['a'] },
    startRestore: { point: 'a@1', target: 's3://restored/vms/' },
  }
  const requestOf = (name: string, route: Route): Ask => ({
    method: route.method,
    path: route.path.replace('{id}', 'a'.repeat(32)).replace('{name}', 'gold'),
    ...(route.body === null ? {} : { body: bodies[name] ?? {} }),
  })

  it.each(routes)('%s needs exactly its scope', async (name, route) => {
    for (const scope of SCOPES) {
      const { status, json } = await ask(testApi(), { ...requestOf(name, route), scope: `coldframe/${scope}` })
      if (scope === route.scope) expect([200, 202, 404]).toContain(status)
      else expect([status, json.code]).toEqual([403, 'scope-missing'])
    }
    for (const scope of ['', route.scope, `other/${route.scope}`, `coldframe/${route.scope}x`])
      expect((await ask(testApi(), { ...requestOf(name, route), scope })).status).toBe(403)
    expect((await ask(testApi(), { ...requestOf(name, route), scope: null })).status).toBe(401)
    const closed = await ask(testApi({ access: { kind: 'none' } }), requestOf(name, route))
    expect([closed.status, closed.json.code]).toEqual([403, 'access-not-configured'])
  })

  it('by IAM is what is configured for the principal, and nothing else', async () => {
    const access = parseApiAccess({
      COLDFRAME_API_AUTH: 'iam',
      COLDFRAME_API_GRANTS:
        'read=arn:aws:iam::111122223333:user/eve, read+backup=arn:aws:sts::111122223333:assumed-role/ops/*',
    })
    const asked = async (userArn: string, request: Ask) =>
      (await ask(testApi({ access }), { ...request, authorizer: { iam: { userArn } } })).status
    const start: Ask = { path: '/v1/runs', body: { vms: ['a'] } }
    const list: Ask = { path: '/v1/runs' }
    const [eve, ops] = ['arn:aws:iam::111122223333:user/eve', 'arn:aws:sts::111122223333:assumed-role/ops/session-1']
    expect([await asked(eve, list), await asked(eve, start), await asked(ops, start)]).toEqual([200, 403, 202])
    for (const stranger of [
      `${eve}2`,
      'arn:aws:iam::999999999999:user/eve',
      'arn:aws:sts::111122223333:assumed-role/ops',
    ])
      expect(await asked(stranger, list)).toBe(403)
    expect((await ask(testApi({ access }), list)).status).toBe(401)
    expect((await ask(testApi(), { ...list, authorizer: { iam: { userArn: eve } } })).status).toBe(401)
  })

  it.each([
    [{ COLDFRAME_API_AUTH: 'basic' }],
    [{ COLDFRAME_API_AUTH: 'iam', COLDFRAME_API_GRANTS: 'read' }],
    [{ COLDFRAME_API_AUTH: 'iam', COLDFRAME_API_GRANTS: 'read+all=arn:aws:iam::111122223333:user/eve' }],
    [{ COLDFRAME_API_AUTH: 'iam', COLDFRAME_API_GRANTS: 'read=*' }],
    [{ COLDFRAME_API_AUTH: 'iam', COLDFRAME_API_GRANTS: 'read=arn:aws:iam::111122223333:*/eve' }],
  ])('is not opened by a setting that is wrong: %j', (environment) => {
    expect(() => parseApiAccess(environment)).toThrow(expect.objectContaining({ code: 'settings-faulty' }))
  })

  it('is closed where nothing is configured', () => {
    expect(parseApiAccess({})).toEqual({ kind: 'none' })
  })
})

describe('requests that are wrong', () => {
  it.each([
    ['GET', '/v1/nothing', 404, 'route-unknown'],
    ['GET', '/', 404, 'route-unknown'],
    ['GET', '/v1/runs/', 404, 'route-unknown'],
    ['GET', '/v1//runs', 404, 'route-unknown'],
    ['GET', '/v1/runs/%2e%2e', 404, 'route-unknown'],
    ['GET', '/v1/runs/xyz', 404, 'run-not-found'],
    ['DELETE', '/v1/runs', 405, 'method-not-allowed'],
    ['PUT', '/v1/points', 405, 'method-not-allowed'],
  ])('%s %s is %i, %s', async (method, path, status, code) => {
    const { json, headers } = await ask(testApi(), { method, path })
    expect([json.status, json.code, json.type]).toEqual([status, code, `urn:coldframe:problem:${code}`])
    if (status === 405) expect(headers['allow']).toBe(path === '/v1/runs' ? 'POST, GET' : 'GET')
  })

  it.each([
    ['not JSON', '{', {}, 400],
    ['an array', '[]', {}, 400],
    ['null', 'null', {}, 400],
    ['a key that nobody knows', { vms: ['a'], force: true }, {}, 400],
    ['too much', `{"vms":["${'x'.repeat(300_000)}"]}`, {}, 413],
    ['text', 'vms=a', { 'content-type': 'text/plain' }, 415],
    ['a form', 'vms=a', { 'Content-Type': 'application/x-www-form-urlencoded' }, 415],
    ['another charset', { vms: ['a'] }, { 'content-type': 'application/json; charset=latin1' }, 415],
    ['a key that is too long', { vms: ['a'] }, { 'idempotency-key': 'k'.repeat(129) }, 400],
    ['an empty key', { vms: ['a'] }, { 'idempotency-key': '' }, 400],
  ])('with %s start nothing', async (_what, body, headers, status) => {
    const api = testApi()
    expect((await ask(api, { path: '/v1/runs', body, headers })).status).toBe(status)
    expect(await api.deps.jobStore.recentRuns({ limit: 9 }, cancel)).toEqual([])
  })

  it('name every fault', async () => {
    const { json } = await ask(testApi(), { path: '/v1/restores', body: { point: '', disks: ['x'], to: 1 } })
    expect(json.facts.faults.length).toBeGreaterThanOrEqual(3)
  })

  it('of any kind are answered as documented, and never with a fault of ours', () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.values<Route>(ROUTES)),
        fc.oneof(fc.json(), fc.string(), fc.constant('{"__proto__":{"policy":"gold"},"vms":["a"]}')),
        fc.oneof(fc.webPath(), fc.constant(null)),
        fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
        async (route, body, path, query) => {
          const { status } = await ask(testApi(), { method: route.method, path: path ?? route.path, body, query })
          expect(status).toBeLessThan(500)
        },
      ),
      { numRuns: 300 },
    ))

  it('tell nothing of a fault of ours, which is logged', async () => {
    const api = testApi()
    const broken = { ...api.deps.jobStore, recentRuns: () => Promise.reject(new Error('secret detail')) }
    const { status, json, body } = await ask({ ...api, deps: { ...api.deps, jobStore: broken } }, { path: '/v1/runs' })
    expect([status, json.code]).toEqual([500, 'internal'])
    expect(body).not.toContain('secret')
    expect(JSON.stringify(api.log.lines)).toContain('secret detail')
  })
})
