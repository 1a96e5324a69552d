// Commands that read a stack's records themselves, and take marks off its VMs.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { dynamoJobStore } from '../../lib/adapters/aws/job-store.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { newVmHistory } from '../../lib/model/vm-history.ts'
import { TEST_ENVIRONMENT } from '../kit/aws/identity.ts'
import { temporaryFolder } from '../kit/local-state.ts'
import { fullJob, sampleAlarm, sampleVmHistory } from '../kit/record-samples.ts'
import { startS3Server } from '../kit/s3-server.ts'
import { openTable } from '../kit/state-table.ts'
import { coldframe } from './coldframe.ts'

const cancel = { signal: new AbortController().signal }

it('alarms, cost and quarantine work on the records of a stack', { timeout: 60_000 }, async () => {
  await using table = await openTable()
  await using s3 = await startS3Server()
  await using folder = await temporaryFolder()
  s3.addBucket('backups', { versioning: true })
  await writeFile(join(folder.path, 'passphrase'), 'correct horse\n')
  const environment = {
    ...TEST_ENVIRONMENT,
    COLDFRAME_ENGINE: 'aws:prod',
    COLDFRAME_API_URL: 'https://127.0.0.1:1',
    COLDFRAME_TABLE: table.name,
    COLDFRAME_REPOSITORY: 's3:backups/prod',
    COLDFRAME_PASSPHRASE_FILE: join(folder.path, 'passphrase'),
    AWS_ENDPOINT_URL_DYNAMODB: table.endpoint,
    AWS_ENDPOINT_URL_S3: s3.endpoint,
  }
  const run = async (args: readonly string[], more = {}) => {
    const ended = await coldframe([...args, '--json'], {
      folder: folder.path,
      environment: { ...environment, ...more },
    })
    const document: ReturnType<typeof JSON.parse> = JSON.parse(ended.stdout)
    return { exitCode: ended.exitCode, data: document.data, error: document.error }
  }
  const store = dynamoJobStore(table.table, { clock: systemClock })
  const createdAt = new Date(systemClock.nowMs()).toISOString()
  const job = fullJob()
  await store.jobs.create(job.id, { ...job, times: { ...job.times, createdAt } }, cancel)
  await store.alarms.create(sampleAlarm().alarm.id, sampleAlarm(), cancel)
  const { quarantine } = sampleVmHistory()
  expect(quarantine).not.toBe(null)
  await store.vms.create(job.vm.vmId, { ...newVmHistory(job.vm), quarantine }, cancel)

  expect(await run(['alarms'])).toMatchObject({ exitCode: 0, data: { alarms: [sampleAlarm()] } })
  const cost = await run(['cost'])
  expect(cost).toMatchObject({ exitCode: 0, data: { rows: [{ key: job.vm.vmId, jobs: 1 }] } })
  expect(cost.data.rows[0].costUsd).toBeGreaterThan(0)
  expect(await run(['quarantine', '--vm', job.vm.vmId])).toMatchObject({ exitCode: 0, data: { quarantine } })
  const lifted = await run(['quarantine', '--vm', job.vm.vmId, '--lift', '--reason', 'looked at'])
  expect(lifted).toMatchObject({ exitCode: 0, data: { quarantine: null, lifted: [{ reason: 'looked at' }] } })
  expect((await store.vms.get(job.vm.vmId, cancel))?.value.quarantine).toBe(null)
  expect(await run(['alarms'], { COLDFRAME_TABLE: '' })).toMatchObject({
    exitCode: 2,
    error: { code: 'settings-faulty' },
  })
})
