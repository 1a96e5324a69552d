// task/main.ts as the container of a stack: state in DynamoDB, the repository in a bucket, keys in KMS, the vCenter's account in Secrets
// Manager, each a server on this machine; started and stopped by ECS.

import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { requestOperation } from '../../lib/doors/request-operation.ts'
import { requestRun } from '../../lib/doors/request-run.ts'
import { sessionIdOf } from '../../lib/model/ids.ts'
import type { Job } from '../../lib/model/job.ts'
import { defaultPolicy } from '../../lib/model/policy.ts'
import { NO_USAGE } from '../../lib/model/usage.ts'
import { diskReader } from '../../lib/repository/disk-reader.ts'
import { listPointRefs, readPoint } from '../../lib/repository/points.ts'
import { openSim, type Sim } from '../flow/kit.ts'
import { runProcess } from '../kit/aws/run-process.ts'
import { until } from '../kit/programs.ts'
import { sampleJob } from '../kit/record-samples.ts'
import { openStack, program, type Stack } from './stack.ts'

const cancel = { signal: new AbortController().signal }

async function backUp({ deps, work }: Stack, key: string): Promise<Job> {
  const asked = { door: 'api', policy: defaultPolicy(), vms: ['app-01'], key } as const
  const id = await requestRun(asked, deps, cancel)
  const jobs = () => deps.jobStore.jobsOfRun(id, cancel)
  await work(async () => (await jobs()).some(({ state }) => state === 'done'))
  const [job] = await jobs()
  if (job === undefined) throw new Error('the run has a job')
  return job
}

/** SHA-256 of each disk of each point, as read from the bucket, beside what the simulator froze. */
async function digests({ deps }: Stack, sim: Sim): Promise<readonly (readonly [string, string])[]> {
  const repository = await deps.repository(cancel)
  const frozen = await sim.frozen()
  const pairs: (readonly [string, string])[] = []
  for (const ref of await listPointRefs({ repository }, cancel)) {
    const point = await readPoint({ repository, ref }, cancel)
    const { vmId, disks } = point.envelope
    for (const disk of disks) {
      const target = new Uint8Array(disk.capacityBytes)
      await diskReader({ repository, domain: vmId, disk, cacheBytesMax: 0 }).readRange(
        { offsetBytes: 0, target },
        cancel,
      )
      const snapshot = frozen.find((one) => one.snapshot === point.body.snapshotName)
      const expected = snapshot?.disks.find(({ deviceKey }) => deviceKey === disk.key)?.sha256 ?? 'not frozen'
      pairs.push([createHash('sha256').update(target).digest('hex'), expected])
    }
  }
  return pairs
}

describe('the container of a stack', () => {
  it('moves a full and an incremental backup into the bucket, and checks them', async () => {
    await using sim = await openSim('--estate', 'small')
    await using stack = await openStack(sim)
    expect(await backUp(stack, 'first'), stack.output.join('')).toMatchObject({ outcome: { kind: 'success' } })
    await sim.write(300_000)
    const job = await backUp(stack, 'second')
    expect(job).toMatchObject({ attempt: 1, owes: [], outcome: { kind: 'success' } })

    const pairs = await digests(stack, sim)
    expect(pairs.length).toBeGreaterThanOrEqual(2)
    for (const [read, expected] of pairs) expect(read).toBe(expected)
    expect(stack.ecs.tasks()).toHaveLength(2)
    // No secret is in what the container was told, or in what it wrote.
    const told = JSON.stringify([stack.environment, stack.ecs.calls, stack.output])
    expect(told).not.toContain(sim.password)

    const { deps, work } = stack
    const request = { kind: 'verify', point: null, deep: true } as const
    const { id } = await requestOperation({ request, requestedBy: 'test', key: 'check' }, deps, cancel)
    const operation = async () => (await deps.jobStore.operations.get(id, cancel))?.value
    await work(async () => (await operation())?.state === 'done')
    expect(await operation(), stack.output.join('')).toMatchObject({ outcome: { kind: 'success' } })
  }, 90_000)

  it('leaves within seconds when ECS stops it, and refuses settings that do not fit, naming each', async () => {
    await using sim = await openSim('--estate', 'small')
    await using stack = await openStack(sim)
    const { deps, ecs, output } = stack
    const { id: jobId } = sampleJob()
    // Held by nobody that lives: the mover waits for the hold to lapse when it is stopped.
    const heldUntilMs = Date.now() + 60_000
    const attempt = { jobId, attempt: 1, holder: 'gone', heldUntilMs, progress: [], usage: NO_USAGE, result: null }
    await deps.jobStore.attempts.create(sessionIdOf(jobId, 1), attempt, cancel)
    const request = { work: { kind: 'move', jobId, attempt: 1 }, clientToken: 'a', placement: 0 } as const
    const { taskId } = await deps.tasks.start(request, cancel)
    await until(() => ecs.tasks()[0]?.lastStatus === 'RUNNING')
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    await deps.tasks.stop(taskId, cancel)
    await ecs.settled()
    await until(async () => (await deps.tasks.describe(taskId, cancel)).kind === 'stopped')
    expect(await deps.tasks.describe(taskId, cancel)).toMatchObject({ kind: 'stopped', exitCode: 130 })
    expect(output.join('')).toContain('SIGTERM')

    const { COLDFRAME_VCENTER_SECRET: _secret, ...environment } = stack.environment
    for (const [wrong, fault] of [
      [environment, 'COLDFRAME_VCENTER_SECRET is not set'],
      [{ ...stack.environment, COLDFRAME_KMS_KEY: 'alias/x' }, 'COLDFRAME_KMS_KEY is \\"alias/x\\"'],
    ] as const) {
      let said = ''
      const onOutput = (text: string) => {
        said += text
      }
      const run = runProcess({
        ...{ file: process.execPath, args: [program], stopMs: 5_000, onOutput },
        environment: { PATH: process.env['PATH'], ...wrong },
      })
      const command = ['move', '--job', jobId, '--attempt', '1']
      const exitCode = await run({
        taskArn: taskId,
        taskDefinitionArn: '',
        command,
        environment: {},
        stop: cancel.signal,
      })
      expect(exitCode).toBe(2)
      expect(said).toContain(fault)
    }
  }, 60_000)
})
