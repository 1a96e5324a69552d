// Amazon ECS as far as it starts, lists and stops tasks, for tests: what runs is a function of the test, or a child process. Tasks are
// known by their client token; capacity, late listing and copies of events are as the test says.

import { isDeepStrictEqual } from 'node:util'
import { DescribeTasks$, ListTasks$, RunTask$, StopTask$ } from '@aws-sdk/client-ecs'
import { ApiError } from './api-error.ts'
import { checkRunTask, type RunTaskInput } from './ecs-rules.ts'
import { arnOf, TEST_ACCOUNT, TEST_REGION } from './identity.ts'
import { type ApiServer, openApiServer } from './server.ts'

export type EcsOptions = {
  /** The one cluster's name, and the one task definition, "family:revision", with its one container. */
  readonly cluster: string
  readonly taskDefinition: string
  /** More of them, with a container of the same name. */
  readonly otherTaskDefinitions?: readonly string[]
  readonly container: string
  /** Those that exist; others are refused. */
  readonly subnets: readonly string[]
  readonly securityGroups: readonly string[]
  /** What a task does. @returns its exit code */
  readonly run: (task: EcsRun) => Promise<number>
  /** Why a task cannot be placed there now, as ECS says it; null: it can. */
  readonly refuses?: (place: { readonly capacity: string; readonly subnet: string | null }) => string | null
  /** How often a task that was started is not found before it is. */
  readonly listedAfter?: number
  /** Gets every "ECS Task State Change", each `eventCopies` times (1). */
  readonly onEvent?: (event: EcsEvent) => void
  readonly eventCopies?: number
}

export type EcsRun = {
  readonly taskArn: string
  readonly taskDefinitionArn: string
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** Aborted by StopTask. */
  readonly stop: AbortSignal
}

export type EcsEvent = { readonly [name: string]: unknown; readonly detail: Readonly<Record<string, unknown>> }

export type EcsTask = { readonly taskArn: string; readonly lastStatus: string; readonly input: RunTaskInput }

export type EcsServer = ApiServer & {
  readonly clusterArn: string
  readonly taskDefinitionArn: string
  /** Every task that was ever started. */
  tasks(): readonly EcsTask[]
  /** Resolves when none runs. */
  settled(): Promise<void>
}

type Task = {
  readonly taskArn: string
  readonly taskDefinitionArn: string
  readonly input: RunTaskInput
  readonly createdAt: Date
  readonly stopper: AbortController
  lastStatus: string
  desiredStatus: string
  exitCode: number | undefined
  stopCode: string | undefined
  stoppedReason: string | undefined
  version: number
  hiddenFor: number
  ended: Promise<void>
}

export async function openEcs(options: EcsOptions): Promise<EcsServer> {
  const state = new Cluster(options)
  const server = await openApiServer({
    name: 'ecs',
    protocol: { kind: 'json', target: 'AmazonEC2ContainerServiceV20141113' },
    refusals: { missing: 'InvalidParameterException', malformed: 'SerializationException' },
    operations: {
      RunTask: { schema: RunTask$, handle: (input) => state.runTask(input as RunTaskInput) },
      DescribeTasks: { schema: DescribeTasks$, handle: (input) => state.describe(input as DescribeInput) },
      ListTasks: { schema: ListTasks$, handle: (input) => state.list(input as ListInput) },
      StopTask: { schema: StopTask$, handle: (input) => state.stop(input as StopInput) },
    },
  })
  const settled = async () => void (await Promise.all([...state.all.values()].map(({ ended }) => ended)))
  return {
    ...server,
    clusterArn: state.clusterArn,
    taskDefinitionArn: state.taskDefinitionArn,
    tasks: () => [...state.all.values()],
    settled,
    async [Symbol.asyncDispose]() {
      for (const { stopper } of state.all.values()) stopper.abort()
      await settled()
      await server[Symbol.asyncDispose]()
    },
  }
}

type DescribeInput = { readonly cluster?: string; readonly tasks: readonly string[] }
type ListInput = { readonly cluster?: string; readonly startedBy?: string; readonly desiredStatus?: string }
type StopInput = { readonly cluster?: string; readonly task: string; readonly reason?: string }

class Cluster {
  readonly all = new Map<string, Task>()
  readonly clusterArn: string
  readonly taskDefinitionArn: string
  private readonly byToken = new Map<string, { readonly input: RunTaskInput; readonly task: Task }>()
  private readonly options: EcsOptions

  constructor(options: EcsOptions) {
    this.options = options
    this.clusterArn = arnOf('ecs', `cluster/${options.cluster}`)
    this.taskDefinitionArn = arnOf('ecs', `task-definition/${options.taskDefinition}`)
  }

  runTask(input: RunTaskInput) {
    this.checkCluster(input.cluster)
    const taskDefinition = checkRunTask(input, { ...this.options, taskDefinitions: this.taskDefinitions() })
    const token = input.clientToken
    const earlier = token === undefined ? undefined : this.byToken.get(token)
    if (earlier !== undefined && !isDeepStrictEqual(earlier.input, input)) {
      const message = 'The RunTask request could not be processed due to conflicts with the original request.'
      throw Object.assign(new ApiError('ConflictException', message), { resourceIds: [earlier.task.taskArn] })
    }
    if (earlier !== undefined) return { tasks: [this.shapeOf(earlier.task)], failures: [] }
    const reason = this.options.refuses?.(placeOf(input)) ?? null
    if (reason !== null) return { tasks: [], failures: [{ reason }] }
    const task = this.start(input, arnOf('ecs', `task-definition/${taskDefinition}`))
    if (token !== undefined) this.byToken.set(token, { input, task })
    return { tasks: [this.shapeOf(task)], failures: [] }
  }

  describe({ cluster, tasks }: DescribeInput) {
    this.checkCluster(cluster)
    if (tasks.length > 100) throw invalid('Tasks cannot be more than 100.')
    const found = tasks.map((id) => ({ arn: this.arnOf(id), task: this.visible(id) }))
    return {
      tasks: found.flatMap(({ task }) => (task === null ? [] : [this.shapeOf(task)])),
      failures: found.flatMap(({ arn, task }) => (task === null ? [{ arn, reason: 'MISSING' }] : [])),
    }
  }

  list({ cluster, startedBy, desiredStatus = 'RUNNING' }: ListInput) {
    this.checkCluster(cluster)
    const matching = [...this.all.values()].filter(
      (task) =>
        (startedBy === undefined || task.input.startedBy === startedBy) &&
        task.desiredStatus === desiredStatus &&
        this.visible(task.taskArn) !== null,
    )
    return { taskArns: matching.map(({ taskArn }) => taskArn) }
  }

  stop({ cluster, task: id, reason }: StopInput) {
    this.checkCluster(cluster)
    const task = this.all.get(this.arnOf(id))
    if (task === undefined) throw invalid('The referenced task was not found.')
    if (task.lastStatus !== 'STOPPED') {
      task.stopCode ??= 'UserInitiated'
      task.stoppedReason ??= reason ?? 'Task stopped by user'
      task.desiredStatus = 'STOPPED'
      task.stopper.abort()
    }
    return { task: this.shapeOf(task) }
  }

  private taskDefinitions(): readonly string[] {
    return [this.options.taskDefinition, ...(this.options.otherTaskDefinitions ?? [])]
  }

  private start(input: RunTaskInput, taskDefinitionArn: string): Task {
    const id = crypto.randomUUID().replaceAll('-', '')
    const task: Task = {
      taskArn: arnOf('ecs', `task/${this.options.cluster}/${id}`),
      taskDefinitionArn,
      input,
      createdAt: new Date(),
      stopper: new AbortController(),
      lastStatus: 'PROVISIONING',
      desiredStatus: 'RUNNING',
      exitCode: undefined,
      stopCode: undefined,
      stoppedReason: undefined,
      version: 1,
      hiddenFor: this.options.listedAfter ?? 0,
      ended: Promise.resolve(),
    }
    this.all.set(task.taskArn, task)
    task.ended = this.live(task)
    return task
  }

  private async live(task: Task): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    this.move(task, 'PENDING')
    if (!task.stopper.signal.aborted) {
      this.move(task, 'RUNNING')
      const [override] = task.input.overrides?.containerOverrides ?? []
      const pairs = (override?.environment ?? []).map(({ name = '', value = '' }) => [name, value] as const)
      const { taskArn, taskDefinitionArn } = task
      const run = {
        taskArn,
        taskDefinitionArn,
        command: override?.command ?? [],
        environment: Object.fromEntries(pairs),
      }
      task.exitCode = await this.options.run({ ...run, stop: task.stopper.signal })
    }
    task.desiredStatus = 'STOPPED'
    task.stopCode ??= 'EssentialContainerExited'
    task.stoppedReason ??= 'Essential container in task exited'
    this.move(task, 'DEPROVISIONING')
    this.move(task, 'STOPPED')
  }

  private move(task: Task, lastStatus: string): void {
    task.lastStatus = lastStatus
    task.version++
    const event = {
      version: '0',
      id: crypto.randomUUID(),
      'detail-type': 'ECS Task State Change',
      source: 'aws.ecs',
      account: TEST_ACCOUNT,
      time: new Date().toISOString(),
      region: TEST_REGION,
      resources: [task.taskArn],
      detail: { ...this.shapeOf(task), createdAt: task.createdAt.toISOString(), updatedAt: new Date().toISOString() },
    }
    for (let copy = 0; copy < (this.options.eventCopies ?? 1); copy++) this.options.onEvent?.(event)
  }

  private visible(id: string): Task | null {
    const task = this.all.get(this.arnOf(id))
    if (task === undefined || task.hiddenFor-- > 0) return null
    return task
  }

  private arnOf(id: string): string {
    if (id.startsWith('arn:')) return id
    if (!/^[0-9a-f]{32}$|^[0-9a-f-]{36}$/.test(id)) throw invalid('taskId length should be one of [32,36]')
    return arnOf('ecs', `task/${this.options.cluster}/${id}`)
  }

  private checkCluster(cluster: string | undefined): void {
    if (cluster === this.clusterArn || cluster === this.options.cluster) return
    throw new ApiError('ClusterNotFoundException', 'Cluster not found.')
  }

  private shapeOf(task: Task) {
    const { taskArn, taskDefinitionArn, input, createdAt, lastStatus, desiredStatus, exitCode } = task
    const { stopCode, stoppedReason, version } = task
    const { launchType, startedBy, overrides } = input
    const container = { name: this.options.container, taskArn, lastStatus, exitCode }
    return {
      ...{ taskArn, clusterArn: this.clusterArn, taskDefinitionArn, createdAt },
      ...{ lastStatus, desiredStatus, stopCode, stoppedReason, version, launchType, startedBy, overrides },
      containers: [container],
    }
  }
}

function placeOf({ launchType, capacityProviderStrategy, networkConfiguration }: RunTaskInput) {
  return {
    capacity: capacityProviderStrategy?.[0]?.capacityProvider ?? launchType ?? 'EC2',
    subnet: networkConfiguration?.awsvpcConfiguration?.subnets[0] ?? null,
  }
}

function invalid(message: string): ApiError {
  return new ApiError('InvalidParameterException', message)
}
