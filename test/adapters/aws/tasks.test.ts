import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ecsTasks, TASK_CONTAINER } from '../../../lib/adapters/aws/tasks.ts'
import type { Capacity } from '../../../lib/wire/aws-settings.ts'
import { tasksContract } from '../../contract/tasks.ts'
import { type EcsOptions, type EcsServer, openEcs } from '../../kit/aws/ecs.ts'
import { impatience } from '../../kit/aws/patience.ts'
import { runProcess } from '../../kit/aws/run-process.ts'
import { until } from '../../kit/programs.ts'
import { sampleJob } from '../../kit/record-samples.ts'

const cancel = { signal: new AbortController().signal }
const subnets = ['subnet-a', 'subnet-b']
const securityGroups = ['sg-1']
const request = (clientToken: string, placement = 0) => ({
  work: { kind: 'move' as const, jobId: sampleJob().id, attempt: 3 },
  clientToken,
  placement,
})

/** Runs until it is stopped. */
const waits: EcsOptions['run'] = ({ stop }) =>
  new Promise((resolve) => {
    if (stop.aborted) resolve(0)
    stop.addEventListener('abort', () => resolve(0))
  })

function open(change: Partial<EcsOptions> = {}): Promise<EcsServer> {
  const known = { cluster: 'coldframe', taskDefinition: 'coldframe:7', container: TASK_CONTAINER }
  return openEcs({ ...known, subnets, securityGroups, run: waits, ...change })
}

function tasksOf(ecs: EcsServer, capacity: readonly Capacity[] = ['FARGATE']) {
  const { clusterArn: cluster, taskDefinitionArn: taskDefinition } = ecs
  return ecsTasks({ cluster, taskDefinition, subnets, securityGroups, capacity }, impatience(ecs).settings)
}

tasksContract('ECS', async () => {
  const [waiting, failing] = [await open(), await open({ run: async () => 1 })]
  return {
    waiting: tasksOf(waiting),
    failing: tasksOf(failing),
    async [Symbol.asyncDispose]() {
      await waiting[Symbol.asyncDispose]()
      await failing[Symbol.asyncDispose]()
    },
  }
})

describe('tasks on ECS', () => {
  it('are told what to do as a command of the container, in a private subnet', async () => {
    await using ecs = await open()
    const commands: (readonly string[])[] = []
    await using other = await open({
      run: async ({ command }) => {
        commands.push(command)
        return 0
      },
    })
    await tasksOf(other).start(request('a', 1), cancel)
    await other.settled()
    expect(commands).toEqual([['move', '--job', sampleJob().id, '--attempt', '3']])
    await tasksOf(ecs).start(request('a', 1), cancel)

    expect(ecs.calls[0]?.input).toMatchObject({
      ...{ cluster: ecs.clusterArn, taskDefinition: ecs.taskDefinitionArn, launchType: 'FARGATE', clientToken: 'a' },
      startedBy: `coldframe/move/${sampleJob().id}/3/a`,
      networkConfiguration: {
        awsvpcConfiguration: { subnets: ['subnet-b'], securityGroups, assignPublicIp: 'DISABLED' },
      },
    })
  })

  it('may run in each capacity and subnet, capacities first, and on machines of their own without a subnet', async () => {
    await using ecs = await open({ run: async () => 0 })
    const tasks = tasksOf(ecs, ['FARGATE', 'FARGATE_SPOT', 'EXTERNAL'])
    expect(tasks.placements).toBe(5)
    for (let placement = 0; placement < 5; placement++) await tasks.start(request(`t${placement}`, placement), cancel)

    const places = ecs.calls.map(({ input }) => [
      input['launchType'] ?? input['capacityProviderStrategy'],
      input['networkConfiguration'],
    ])
    const net = (subnet: string) => ({
      awsvpcConfiguration: { subnets: [subnet], securityGroups, assignPublicIp: 'DISABLED' },
    })
    const spot = [{ capacityProvider: 'FARGATE_SPOT', weight: 1 }]
    expect(places).toEqual([
      ['FARGATE', net('subnet-a')],
      ['FARGATE', net('subnet-b')],
      [spot, net('subnet-a')],
      [spot, net('subnet-b')],
      ['EXTERNAL', undefined],
    ])
  })

  it.each([
    'Capacity is unavailable at this time. Please try again later or in a different availability zone',
    'RESOURCE:ENI',
    'RESOURCE:MEMORY',
    'AGENT',
  ])('that find no capacity (%s) say so, and nothing was started', async (reason) => {
    await using ecs = await open({ refuses: ({ subnet }) => (subnet === 'subnet-a' ? reason : null) })
    const tasks = tasksOf(ecs)

    const error = { code: 'no-capacity', retry: 'later', facts: { reasons: [reason], subnet: 'subnet-a' } }
    await expect(tasks.start(request('a'), cancel)).rejects.toMatchObject(error)
    expect(ecs.tasks()).toEqual([])
    await tasks.start(request('b', 1), cancel)
    expect(ecs.tasks()).toHaveLength(1)
  })

  it('that are refused for another reason do not count as without capacity', async () => {
    await using ecs = await open({ refuses: () => 'ATTRIBUTE' })
    await expect(tasksOf(ecs).start(request('a'), cancel)).rejects.toMatchObject({ code: 'task-refused' })
  })

  it('that are throttled, for a quota as well, leave open whether one of their token runs', async () => {
    await using ecs = await open()
    const message = "You've reached the limit on the number of vCPUs you can run concurrently"
    ecs.strike(() => ({ kind: 'error', code: 'ThrottlingException', message }))
    await expect(tasksOf(ecs).start(request('a'), cancel)).rejects.toMatchObject({
      code: 'aws-unreachable',
      retry: 'later',
    })
  })

  it('are the same when the answer to the start was lost, whoever asks again', async () => {
    await using ecs = await open()
    ecs.strike(({ operation }) => (operation === 'RunTask' ? { kind: 'lost', when: 'after' } : null))
    await expect(tasksOf(ecs).start(request('a'), cancel)).rejects.toMatchObject({
      code: 'aws-unreachable',
      retry: 'later',
    })
    expect(ecs.tasks()).toHaveLength(1)
    const found = await tasksOf(ecs).find(request('a'), cancel)
    ecs.strike(() => null)
    const { taskId } = await tasksOf(ecs).start(request('a'), cancel)

    expect(found).toBe(taskId)
    expect(ecs.tasks()).toHaveLength(1)
  })

  it('whose token was used with other parameters are the ones that run, or an error that leaves open what does', async () => {
    await using ecs = await open()
    const { taskId } = await tasksOf(ecs).start(request('a', 0), cancel)
    expect(await tasksOf(ecs).start(request('a', 1), cancel)).toEqual({ taskId })
    await tasksOf(ecs).stop(taskId, cancel)
    await ecs.settled()
    await expect(tasksOf(ecs).start(request('a', 1), cancel)).rejects.toMatchObject({
      code: 'task-token-used',
      retry: 'later',
    })
    expect(ecs.tasks()).toHaveLength(1)
  })

  it('are unknown while ECS does not list them yet', async () => {
    await using ecs = await open({ listedAfter: 2 })
    const tasks = tasksOf(ecs)
    const { taskId } = await tasks.start(request('a'), cancel)
    expect(await tasks.describe(taskId, cancel)).toEqual({ kind: 'unknown' })
    expect(await tasks.find(request('a'), cancel)).toBeNull()
    expect((await tasks.describe(taskId, cancel)).kind).toBe('running')
  })

  it('that may not be looked at, or in a cluster that is not there, are no unknown ones', async () => {
    await using ecs = await open()
    const tasks = tasksOf(ecs)
    const { taskId } = await tasks.start(request('a'), cancel)
    ecs.strike(() => ({ kind: 'error', code: 'AccessDeniedException' }))
    await expect(tasks.describe(taskId, cancel)).rejects.toMatchObject({ code: 'aws-refused' })
    await expect(tasks.find(request('a'), cancel)).rejects.toMatchObject({ code: 'aws-refused' })
    ecs.strike(() => ({ kind: 'error', code: 'ClusterNotFoundException' }))
    await expect(tasks.describe(taskId, cancel)).rejects.toMatchObject({ code: 'aws-failed' })
  })

  it('tell why they stopped', async () => {
    await using ecs = await open()
    const tasks = tasksOf(ecs)
    const { taskId } = await tasks.start(request('a'), cancel)
    await tasks.stop(taskId, cancel)
    await ecs.settled()
    expect(await tasks.describe(taskId, cancel)).toEqual({
      kind: 'stopped',
      exitCode: 0,
      reason: 'Coldframe asked it to stop (UserInitiated)',
    })
  })
})

describe('tasks of the ECS test server', () => {
  it('run as child processes, which StopTask ends, and every change is an event, with copies when asked for', async () => {
    const events: string[] = []
    const output: string[] = []
    const mover = join(import.meta.dirname, '../local/programs/mover.ts')
    const onEvent: EcsOptions['onEvent'] = ({ detail }) => events.push(`${detail['lastStatus']}/${detail['version']}`)
    const process1 = { file: process.execPath, args: [mover, 'exit=7'], environment: process.env, stopMs: 1000 }
    await using ecs = await open({
      run: runProcess({ ...process1, onOutput: (text) => output.push(text) }),
      ...{ onEvent, eventCopies: 2 },
    })
    const tasks = tasksOf(ecs)
    const { taskId } = await tasks.start(request('a'), cancel)
    await until(async () => (await tasks.describe(taskId, cancel)).kind === 'stopped')

    expect(await tasks.describe(taskId, cancel)).toMatchObject({ exitCode: 7 })
    expect(output.join('')).toBe(`move --job ${sampleJob().id} --attempt 3\n`)
    expect(events).toEqual(
      ['PENDING/2', 'RUNNING/3', 'DEPROVISIONING/4', 'STOPPED/5'].flatMap((event) => [event, event]),
    )
  })
})
