// Policies applied to a stack: the command writes the table, the bucket and the schedules with the rights of the one who runs it, and the
// function starts what it applied.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { dynamoJobStore } from '../../lib/adapters/aws/job-store.ts'
import { memoryLog, memoryMetrics } from '../../lib/adapters/memory/log.ts'
import { memoryQueue } from '../../lib/adapters/memory/queue.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { startScheduled } from '../../lib/doors/schedule.ts'
import { parseScheduleEvent } from '../../lib/wire/schedule-event.ts'
import { openSim } from '../flow/kit.ts'
import { arnOf, TEST_ENVIRONMENT } from '../kit/aws/identity.ts'
import { openScheduler } from '../kit/aws/scheduler.ts'
import { openSecrets } from '../kit/aws/secrets.ts'
import { temporaryFolder } from '../kit/local-state.ts'
import { startS3Server } from '../kit/s3-server.ts'
import { openTable } from '../kit/state-table.ts'
import { coldframe } from './coldframe.ts'

const cancel = { signal: new AbortController().signal }

async function stack() {
  await using open = new AsyncDisposableStack()
  const sim = open.use(await openSim('--estate', 'small'))
  const table = open.use(await openTable())
  const scheduler = open.use(await openScheduler({ group: 'prod' }))
  const secrets = open.use(await openSecrets())
  const s3 = open.use(await startS3Server())
  const folder = open.use(await temporaryFolder())
  s3.addBucket('backups', { versioning: true })
  const { COLDFRAME_VCENTER_USER: user, COLDFRAME_VCENTER_PASSWORD: password, ...vcenter } = sim.variables
  secrets.put('coldframe/vcenter', { text: JSON.stringify({ user, password }) })
  const environment = {
    ...TEST_ENVIRONMENT,
    COLDFRAME_ENGINE: 'aws:prod',
    COLDFRAME_API_URL: 'https://127.0.0.1:1',
    COLDFRAME_VCENTER: vcenter['COLDFRAME_VCENTER'],
    COLDFRAME_VCENTER_THUMBPRINT: vcenter['COLDFRAME_VCENTER_THUMBPRINT'],
    COLDFRAME_VCENTER_SECRET: 'coldframe/vcenter',
    COLDFRAME_TABLE: table.name,
    COLDFRAME_REPOSITORY: 's3:backups/prod',
    COLDFRAME_SCHEDULE_GROUP: 'prod',
    COLDFRAME_SCHEDULE_ROLE: 'arn:aws:iam::111122223333:role/scheduler',
    COLDFRAME_SCHEDULE_TARGET: arnOf('lambda', 'function:schedule'),
    COLDFRAME_SCHEDULE_DEAD_LETTERS: arnOf('sqs', 'buried'),
    AWS_ENDPOINT_URL_DYNAMODB: table.endpoint,
    AWS_ENDPOINT_URL_SCHEDULER: scheduler.endpoint,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
    AWS_ENDPOINT_URL_S3: s3.endpoint,
  }
  const run = async (args: readonly string[], without: readonly string[] = []) => {
    const left = Object.fromEntries(Object.entries(environment).filter(([name]) => !without.includes(name)))
    const ended = await coldframe([...args, '--json'], { folder: folder.path, environment: left })
    const document: ReturnType<typeof JSON.parse> = JSON.parse(ended.stdout)
    return { ...ended, data: document.data, error: document.error }
  }
  const kept = open.move()
  return { folder: folder.path, table, scheduler, s3, run, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

it('apply writes the table and the schedule, a second one nothing; the schedule starts the policy; remove ends it', {
  timeout: 120_000,
}, async () => {
  await using prod = await stack()
  const { run, scheduler, table } = prod
  const script = join(prod.folder, 'db.sh')
  await writeFile(script, 'echo frozen\n')
  const stored = await run(['script', script])
  expect(stored).toMatchObject({ exitCode: 0, data: { key: 'scripts/db.sh', stored: true } })
  const file = join(prod.folder, 'gold.yaml')
  const text = (sha256: string) => `name: gold
select: {any: [{name: "app-*"}]}
schedule: {cron: "0 22 * * MON-FRI", timeZone: Europe/Berlin, window: {close: "06:00"}, jitter: 10m}
guest: {mode: try, credentials: linux}
scripts: {linux: {preFreeze: {bundle: scripts/db.sh, sha256: "${sha256}", entry: db.sh}}}
`
  await writeFile(file, text('ab'.repeat(32)))
  expect(await run(['policy', 'apply', file, '--yes'])).toMatchObject({
    exitCode: 4,
    error: { code: 'script-changed' },
  })
  expect(scheduler.kept.size).toBe(0)

  await writeFile(file, text(stored.data.sha256))
  const unset = await run(
    ['policy', 'plan', file],
    ['COLDFRAME_SCHEDULE_GROUP', 'COLDFRAME_SCHEDULE_ROLE', 'COLDFRAME_SCHEDULE_TARGET'],
  )
  expect([unset.exitCode, unset.error.message]).toEqual([2, expect.stringContaining('COLDFRAME_SCHEDULE_GROUP')])
  const applied = await run(['policy', 'apply', file, '--yes'])
  expect(applied.data?.applied).toEqual([{ name: 'gold', record: 'created', schedule: 'created' }])
  expect(applied.data.plan.policies[0].vms.gained.map(({ name }: { name: string }) => name)).toContain('app-01')
  const kept = scheduler.kept.get('gold')
  expect(kept).toMatchObject({
    ScheduleExpression: 'cron(0 22 ? * 2-6 *)',
    ScheduleExpressionTimezone: 'Europe/Berlin',
    FlexibleTimeWindow: { Mode: 'FLEXIBLE', MaximumWindowInMinutes: 10 },
    Target: { DeadLetterConfig: { Arn: arnOf('sqs', 'buried') } },
  })
  expect((await run(['policy', 'apply', file])).data.applied).toEqual([
    { name: 'gold', record: 'same', schedule: 'same' },
  ])
  expect(await run(['report'])).toMatchObject({ exitCode: 0, data: { drift: [], missed: [] } })

  // What the scheduler would send, its time filled in: outside of the window it starts nothing, within it a run of this policy.
  const jobStore = dynamoJobStore(table.table, { clock: systemClock })
  const sender = memoryQueue({ clock: systemClock, receivesMax: 5 })
  const start = async (time: string) => {
    const input = String(kept?.Target.Input).replace('<aws.scheduler.scheduled-time>', time)
    const clock = { ...systemClock, nowMs: () => Date.parse(time) + 1_000 }
    const deps = { clock, jobStore, sender, log: memoryLog(), metrics: memoryMetrics() }
    return await startScheduled(parseScheduleEvent(JSON.parse(input)), deps, cancel)
  }
  expect(await start('2026-11-27T12:00:00Z')).toMatchObject({ code: 'outside-window' })
  expect(await start('2026-11-27T21:00:00Z')).toMatchObject({ kind: 'started' })
  expect(await jobStore.recentRuns({ limit: 9 }, cancel)).toMatchObject([
    { door: 'schedule', policy: { name: 'gold' } },
  ])

  scheduler.kept.delete('gold')
  expect(await run(['report'])).toMatchObject({ exitCode: 1, error: { code: 'schedule-drift' } })
  expect((await run(['policy', 'apply', file, '--yes'])).data.applied).toEqual([
    { name: 'gold', record: 'same', schedule: 'created' },
  ])
  expect((await run(['policy', 'remove', 'gold', '--yes'])).data.applied).toEqual([
    { name: 'gold', record: 'removed', schedule: 'removed' },
  ])
  expect(await start('2026-11-28T21:00:00Z')).toMatchObject({ code: 'policy-removed' })
})
