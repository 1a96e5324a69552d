// The Lambda frame of the HTTP API on the real event of events/api.json.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from 'aws-lambda'
import { expect, it } from 'vitest'
import { apiHandler } from '../../functions/_api-handler.ts'
import { answerApi } from '../../lib/compose/api.ts'
import { openLambdaApi } from '../../lib/compose/lambda-api.ts'
import { parsePolicyName } from '../../lib/model/ids.ts'
import { cancel, testApi } from '../kit/api.ts'
import { sampleStoredPolicy } from '../kit/record-samples.ts'

process.env['POWERTOOLS_LOG_LEVEL'] = 'SILENT'

const context = { awsRequestId: 'r', functionName: 'coldframe-test', getRemainingTimeInMillis: () => 30_000 } as Context
const event: unknown = JSON.parse(await readFile(join(import.meta.dirname, '..', '..', 'events', 'api.json'), 'utf8'))

it('the event of a start is answered as the gateway wants it, and the run is there', async () => {
  const { deps } = testApi()
  const name = parsePolicyName('gold')
  const { policy } = sampleStoredPolicy()
  await deps.jobStore.policies.create(name, sampleStoredPolicy({ name, policy: { ...policy, name } }), cancel)
  const handler = apiHandler(() => (request, within) => answerApi(request, deps, within))
  const { statusCode, headers, body } = await handler(event, context)
  expect([statusCode, headers?.['content-type']]).toEqual([202, 'application/json'])
  const run = JSON.parse(body ?? '')
  expect(run).toMatchObject({
    state: 'requested',
    vms: ['db-1', 'db-2'],
    requestedBy: 'ops@example.org of https://login.example.org',
  })
  expect(headers?.['location']).toBe(`/v1/runs/${run.id}`)
  const again = await handler(event, context)
  expect(JSON.parse(again.body ?? '').id).toBe(run.id)
})

it('a function whose access is half configured does not start', () => {
  const { log } = testApi()
  const metrics = { count: () => undefined }
  const open = (environment: Record<string, string>) => () =>
    openLambdaApi({ log, metrics, environment: { COLDFRAME_TABLE: 'coldframe-state', ...environment } })
  expect(open({})).not.toThrow()
  expect(open({ COLDFRAME_API_AUTH: 'iam', COLDFRAME_API_GRANTS: 'everything' })).toThrow(/settings of the API/)
  expect(open({ COLDFRAME_RESTORE_TARGETS: 's3://x/../y' })).toThrow(/Cannot restore to/)
  expect(open({ COLDFRAME_TABLE: '' })).toThrow(/COLDFRAME_TABLE/)
})
