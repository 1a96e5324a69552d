// The HTTP API: routes, access, requests that are wrong, the same request twice, lists that change while they are read.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseOperationId, parsePointId, parsePolicyName, parseRunId, parseVmId } from '../../lib/model/ids.ts'
import { endOperation } from '../../lib/model/operation.ts'
import { ask, cancel, type TestApi, testApi } from '../kit/api.ts'
import {
  sampleAlarm,
  sampleAttempt,
  sampleJob,
  sampleJobId,
  samplePointEntry,
  sampleRun,
  sampleRunId,
  sampleSessionId,
  sampleStoredPolicy,
} from '../kit/record-samples.ts'

const gold = parsePolicyName('gold')

async function withPolicy(api: TestApi, state: 'active' | 'removed' = 'active'): Promise<void> {
  const { policy, ...stored } = sampleStoredPolicy({ name: gold, state })
  await api.deps.jobStore.policies.create(gold, { ...stored, policy: { ...policy, name: gold } }, cancel)
}

describe('runs', () => {
  it('are started by a policy, recorded with who asked, and told where to look', async () => {
    const api = testApi()
    await withPolicy(api)
    const { status, json, headers } = await ask(api, { path: '/v1/runs', body: { policy: 'gold' } })
    expect([status, json.state, json.policy, json.requestedBy]).toEqual([202, 'requested', 'gold', 'ops'])
    expect(headers).toMatchObject({ location: `/v1/runs/${json.id}`, 'retry-after': '5' })
    const found = await api.deps.jobStore.runs.get(parseRunId(json.id), cancel)
    expect(found?.value).toMatchObject({ door: 'api', requestedBy: 'ops', vms: null, full: false })
  })

  it('of named VMs need no policy; of nothing there are none', async () => {
    const api = testApi()
    const named = await ask(api, { path: '/v1/runs', body: { vms: ['db-1'], full: true } })
    expect(named.json).toMatchObject({ policy: 'default', vms: ['db-1'], full: true })
    const none = await ask(api, { path: '/v1/runs', body: {} })
    expect([none.status, none.json.code]).toEqual([400, 'request-malformed'])
    for (const policy of ['gold', 'Not A Name']) {
      const unknown = await ask(api, { path: '/v1/runs', body: { policy } })
      expect(unknown.status).toBe(policy === 'gold' ? 404 : 400)
    }
  })

  it('of a removed policy are refused', async () => {
    const api = testApi()
    await withPolicy(api, 'removed')
    expect((await ask(api, { path: '/v1/runs', body: { policy: 'gold' } })).json).toMatchObject({
      code: 'policy-not-found',
      status: 404,
    })
  })

  it('under the same key are one, also when asked for at once; another body is refused, another caller is not meant', async () => {
    const api = testApi()
    await withPolicy(api)
    const headers = { 'Idempotency-Key': 'k1' }
    const body = { policy: 'gold', vms: ['a'] }
    const same = await Promise.all([1, 2, 3].map(() => ask(api, { path: '/v1/runs', body, headers })))
    expect(new Set(same.map(({ json }) => json.id)).size).toBe(1)
    for (const other of [{ policy: 'gold', vms: ['b'] }, { policy: 'gold' }, { vms: ['a'] }, { ...body, full: true }]) {
      const told = await ask(api, { path: '/v1/runs', body: other, headers })
      expect([told.status, told.json.code]).toEqual([422, 'idempotency-key-reused'])
    }
    const stranger = await ask(api, { path: '/v1/runs', body, headers, subject: 'other' })
    expect(stranger.json.id).not.toBe(same[0]?.json.id)
    const twice = await Promise.all(
      ['x', 'y'].map((vm) => ask(api, { path: '/v1/runs', body: { vms: [vm] }, headers: { 'Idempotency-Key': 'k2' } })),
    )
    expect(twice.map(({ status }) => status).toSorted()).toEqual([202, 422])
    expect(await api.deps.jobStore.recentRuns({ limit: 9 }, cancel)).toHaveLength(3)
  })

  it('keep their policy as it was when they were asked for, also when it is asked again later', async () => {
    const api = testApi()
    await withPolicy(api)
    const headers = { 'Idempotency-Key': 'k1' }
    const first = await ask(api, { path: '/v1/runs', body: { policy: 'gold' }, headers })
    const found = await api.deps.jobStore.policies.get(gold, cancel)
    if (found === null) throw new Error('it was stored')
    await api.deps.jobStore.policies.replace(gold, { value: { ...found.value, state: 'removed' }, version: 1 }, cancel)
    expect((await ask(api, { path: '/v1/runs', body: { policy: 'gold' }, headers })).json.id).toBe(first.json.id)
  })

  it('roll up their jobs, from running over committed to done', async () => {
    const api = testApi()
    const { runs, jobs } = api.deps.jobStore
    const jobIds = [sampleJobId(1), sampleJobId(2)]
    await runs.create(sampleRunId, sampleRun({ state: 'planned', wakeAtMs: null, jobIds }), cancel)
    const stateNow = async () => {
      const { json, headers } = await ask(api, { path: `/v1/runs/${sampleRunId}` })
      return [json.state, json.jobs.total, json.jobs.committed, json.jobs.done, headers['retry-after'] ?? '-']
    }
    expect(await stateNow()).toEqual(['running', 2, 0, 0, '5'])
    const at = '2026-01-02T03:04:05.000Z'
    const times = { ...sampleJob().times, committedAt: at }
    const good = { kind: 'success', code: 'ok', message: 'x', hint: null } as const
    await jobs.create(
      sampleJobId(1),
      sampleJob({ id: sampleJobId(1), state: 'releasing', times, outcome: good }),
      cancel,
    )
    const failed = { ...good, kind: 'failed' as const }
    await jobs.create(sampleJobId(2), sampleJob({ id: sampleJobId(2), state: 'done', outcome: failed }), cancel)
    expect(await stateNow()).toEqual(['committed', 2, 1, 1, '5'])
    const ended = sampleJob({ id: sampleJobId(1), state: 'done', times, outcome: good })
    await jobs.replace(sampleJobId(1), { value: ended, version: 1 }, cancel)
    expect(await stateNow()).toEqual(['done', 2, 1, 2, '-'])
    const { json } = await ask(api, { path: `/v1/runs/${sampleRunId}` })
    expect(json.jobs.outcomes).toEqual({ success: 1, warning: 0, failed: 1, skipped: 0 })
    const listed = await ask(api, { path: '/v1/jobs', query: { run: sampleRunId, limit: '1' } })
    const rest = await ask(api, { path: '/v1/jobs', query: { run: sampleRunId, cursor: listed.json.next } })
    expect(new Set([...listed.json.items, ...rest.json.items].map(({ id }) => id))).toEqual(new Set(jobIds))
    expect(rest.json.next).toBe(null)
  })

  it('and jobs are cancelled, unless it is too late', async () => {
    const api = testApi()
    const { runs, jobs } = api.deps.jobStore
    const jobIds = [sampleJobId(1), sampleJobId(2)]
    await runs.create(sampleRunId, sampleRun({ state: 'planned', cancelRequestedAt: null, jobIds }), cancel)
    await jobs.create(
      sampleJobId(1),
      sampleJob({ id: sampleJobId(1), state: 'transferring', nextStage: 'transfer' }),
      cancel,
    )
    await jobs.create(sampleJobId(2), sampleJob({ id: sampleJobId(2), state: 'transferred' }), cancel)
    const late = await ask(api, { method: 'POST', path: `/v1/jobs/${sampleJobId(2)}/cancel` })
    expect([late.status, late.json.code]).toEqual([409, 'too-late-to-cancel'])
    const run = await ask(api, { path: `/v1/runs/${sampleRunId}/cancel`, body: {} })
    expect([run.status, run.json.cancelRequestedAt]).toEqual([202, expect.any(String)])
    expect((await jobs.get(sampleJobId(1), cancel))?.value.cancelRequestedAt).not.toBe(null)
    expect((await jobs.get(sampleJobId(2), cancel))?.value.cancelRequestedAt).toBe(null)
  })
})

describe('restores and checks', () => {
  const body = { point: 'db-1@latest', target: 's3://restored/vms/db-1' }

  it('are asked for, followed and cancelled, each under its own name', async () => {
    const api = testApi()
    const { json, status, headers } = await ask(api, { path: '/v1/restores', body: { ...body, disks: [2000] } })
    expect([status, json.state, json.target, json.disks]).toEqual([202, 'requested', 's3://restored/vms/db-1/', [2000]])
    expect(headers['location']).toBe(`/v1/restores/${json.id}`)
    const check = await ask(api, { path: '/v1/verifications', body: {} })
    expect(check.json).toMatchObject({ kind: 'verify', point: null, deep: true })
    expect((await ask(api, { path: `/v1/verifications/${json.id}` })).status).toBe(404)
    expect((await ask(api, { path: `/v1/restores/${check.json.id}/cancel`, body: {} })).status).toBe(404)
    expect((await ask(api, { path: '/v1/restores' })).json.items.map(({ id }: { id: string }) => id)).toEqual([json.id])
    const cancelled = await ask(api, { path: `/v1/restores/${json.id}/cancel`, body: {} })
    expect(cancelled.json.cancelRequestedAt).not.toBe(null)
    const { operations } = api.deps.jobStore
    const id = parseOperationId(json.id)
    const found = await operations.get(id, cancel)
    if (found === null) throw new Error('it was asked for')
    const outcome = { kind: 'failed', code: 'cancelled', message: 'x', hint: null } as const
    const value = endOperation(
      { ...found.value, cancelRequestedAt: null },
      { outcome, result: ['a'], at: found.value.requestedAt },
    )
    await operations.replace(id, { value, version: found.version }, cancel)
    expect((await ask(api, { path: `/v1/restores/${json.id}/cancel`, body: {} })).status).toBe(409)
    expect((await ask(api, { path: `/v1/restores/${json.id}` })).headers['retry-after']).toBeUndefined()
  })

  it.each([
    ['s3://restored/elsewhere/', 403],
    ['s3://restored/', 403],
    ['s3://restored/vms-other/', 403],
    ['s3://other/vms/', 403],
    ['s3://restored/vms/../secret/', 400],
    ['s3://restored/vms//x/', 400],
    ['s3://RESTORED/vms/', 400],
    ['file:///etc/', 403],
    ['/var/lib', 400],
    ['s3://restored/vms/a/', 202],
    ['s3://restored/vms', 202],
  ])('write to %s only as allowed', async (target, status) => {
    expect((await ask(testApi(), { path: '/v1/restores', body: { ...body, target } })).status).toBe(status)
  })

  it('are refused everywhere while no place is allowed', async () => {
    const { json } = await ask(testApi({ targets: [] }), { path: '/v1/restores', body })
    expect(json).toMatchObject({ status: 403, code: 'target-not-allowed' })
    expect(json.hint).toContain('COLDFRAME_RESTORE_TARGETS')
  })

  it('of one kind are found behind any number of the other, in pages that are never the last too soon', async () => {
    const api = testApi()
    const first = await ask(api, { path: '/v1/restores', body })
    for (let number = 0; number < 130; number++) {
      api.clock.advance(1_000)
      await ask(api, { path: '/v1/verifications', body: { point: `vm@${number}` } })
    }
    let query: Record<string, string> = { limit: '2' }
    const seen: string[] = []
    for (let pages = 0; pages < 50; pages++) {
      const { json } = await ask(api, { path: '/v1/restores', query })
      seen.push(...json.items.map(({ id }: { id: string }) => id))
      if (json.next === null) break
      query = { limit: '2', cursor: json.next }
    }
    expect(seen).toEqual([first.json.id])
  })

  it('under the same key are one; another request under it is refused', async () => {
    const api = testApi()
    const headers = { 'idempotency-key': 'k' }
    const one = await ask(api, { path: '/v1/restores', body, headers })
    const same = await ask(api, { path: '/v1/restores', body, headers })
    expect(same.json.id).toBe(one.json.id)
    const other = await ask(api, { path: '/v1/restores', body: { ...body, point: 'db-2@1' }, headers })
    expect(other.json).toMatchObject({ status: 422, code: 'idempotency-key-reused' })
  })
})

describe('lists', () => {
  it('give each item once, while others come in between the pages', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 25 }),
        fc.integer({ min: 1, max: 7 }),
        async (steps, limit) => {
          const api = testApi()
          const add = async (step: number) => {
            api.clock.advance(step * 500)
            return (await ask(api, { path: '/v1/runs', body: { vms: ['a'] } })).json.id as string
          }
          const before: string[] = []
          for (const step of steps) before.push(await add(step))
          const seen: string[] = []
          let cursor: string | null = null
          do {
            const query: Record<string, string> = { limit: String(limit), ...(cursor === null ? {} : { cursor }) }
            const { json } = await ask(api, { path: '/v1/runs', query })
            seen.push(...json.items.map(({ id }: { id: string }) => id))
            cursor = json.next
            await add(1)
          } while (cursor !== null)
          expect(seen.toSorted()).toEqual(before.toSorted())
        },
      ),
      { numRuns: 25 },
    ))

  it('show points of all VMs or of one, policies and alarms', async () => {
    const api = testApi()
    const { points, alarms } = api.deps.jobStore
    const other = parseVmId('502f1a2b-0000-4000-8000-000000000002')
    const [one, two] = [samplePointEntry(), samplePointEntry({ pointId: parsePointId('a'.repeat(32)), vmId: other })]
    for (const entry of [one, two]) await points.create(entry.pointId, entry, cancel)
    expect((await ask(api, { path: '/v1/points' })).json.items).toHaveLength(2)
    const own = await ask(api, { path: '/v1/points', query: { vmId: other.toUpperCase() } })
    expect(own.json.items.map(({ id }: { id: string }) => id)).toEqual([two.pointId])
    const alarm = sampleAlarm()
    await alarms.create(alarm.alarm.id, alarm, cancel)
    expect((await ask(api, { path: '/v1/alarms' })).json.items).toHaveLength(1)
    await withPolicy(api)
    expect((await ask(api, { path: '/v1/policies' })).json.items).toMatchObject([{ name: 'gold' }])
    expect((await ask(api, { path: '/v1/policies/gold' })).json.text).toContain('name: default')
    expect((await ask(api, { path: '/v1/policies/lead' })).status).toBe(404)
  })

  it('show a job with how far its disks are', async () => {
    const api = testApi()
    const job = sampleJob()
    await api.deps.jobStore.jobs.create(job.id, job, cancel)
    await api.deps.jobStore.attempts.create(sampleSessionId, sampleAttempt(), cancel)
    const { json } = await ask(api, { path: `/v1/jobs/${job.id}` })
    expect(json).toMatchObject({ progress: { doneBytes: 10, totalBytes: 100 }, disks: [{ key: 2000 }] })
  })

  it.each(['nonsense', 'e30', '!!', 'WyJhIl0', Buffer.from('["a",1]').toString('base64url')])(
    'refuse the cursor %s',
    async (cursor) => {
      expect((await ask(testApi(), { path: '/v1/runs', query: { cursor } })).json).toMatchObject({
        status: 400,
        code: 'cursor-malformed',
      })
    },
  )

  it.each([{ limit: '0' }, { limit: '101' }, { limit: '-1' }, { limit: '1e1' }, { limit: '' }, { page: '2' }])(
    'refuse the query %j',
    async (query) => {
      expect((await ask(testApi(), { path: '/v1/runs', query: { ...query } })).json).toMatchObject({
        status: 400,
        code: 'request-malformed',
      })
    },
  )
})
