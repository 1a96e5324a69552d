// Tasks on Amazon ECS: Fargate in subnets of a VPC, or machines of one's own (ECS Anywhere).

import {
  DescribeTasksCommand,
  ECSClient,
  ListTasksCommand,
  RunTaskCommand,
  type RunTaskCommandInput,
  type RunTaskCommandOutput,
  StopTaskCommand,
  type Task,
} from '@aws-sdk/client-ecs'
import { assert, BackupError, quote } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { argumentsOf, type TaskWork } from '../../model/task-work.ts'
import type { TaskRequest, TaskState, Tasks } from '../../ports/tasks.ts'
import { type AwsTasks, placesOf, type TaskPlace } from '../../wire/aws-settings.ts'
import { startedByOf } from '../../wire/started-by.ts'
import { type AwsPatience, type AwsPlace, callAws, clientSettings, codeOf } from './call.ts'

/** The container of our task definitions that is told what to do. */
export const TASK_CONTAINER = 'task'

/**
 * Each capacity in each subnet is one placement, capacities in the order given; a machine of one's own needs no subnet. ECS keeps a
 * client token for 24 hours: the same start again gives the task that it made.
 */
export function ecsTasks(settings: AwsTasks, patience: AwsPatience & AwsPlace): Tasks {
  const client = new ECSClient(clientSettings(patience))
  const asked: Asked = { client, settings, patience }
  const places = placesOf(settings)
  assert(places.length > 0, 'tasks have at least one place to run in')
  return {
    placements: places.length,

    async start(request, cancel) {
      const where = places[request.placement]
      assert(where !== undefined, `placement ${request.placement} is one of ${places.length}`)
      const input = runTaskInput(request, { settings, place: where })
      const answer = await callAws(
        {
          what: `start a task for ${nameOf(request.work)} in ${wordsOf(where)}`,
          send: async (options) => {
            try {
              return await client.send(new RunTaskCommand(input), options)
            } catch (error) {
              if (codeOf(error) === 'ConflictException') return null
              throw error
            }
          },
        },
        asked.patience,
        cancel,
      )
      if (answer !== null) return { taskId: startedTask(answer, { request, place: where }) }
      // The stack was deployed anew between two tries of one start: what the first one made is what was asked for.
      const taskId = await findTask(request, asked, cancel)
      if (taskId === null) throw tokenUsed(request)
      return { taskId }
    },

    find: (request, cancel) => findTask(request, asked, cancel),
    describe: (taskId, cancel) => describeTask(taskId, asked, cancel),
    stop: (taskId, cancel) => stopTask(taskId, asked, cancel),
  }
}

type Asked = {
  readonly client: ECSClient
  readonly settings: AwsTasks
  readonly patience: AwsPatience
}

async function findTask(request: TaskRequest, { client, settings, patience }: Asked, cancel: Cancel) {
  // The only filter that may be given beside the cluster; ECS then lists those that run or are about to.
  const command = { cluster: settings.cluster, startedBy: startedByOf(request) }
  const { taskArns = [] } = await callAws(
    {
      what: `look for the task of ${nameOf(request.work)}`,
      send: (options) => client.send(new ListTasksCommand(command), options),
    },
    patience,
    cancel,
  )
  return taskArns[0] ?? null
}

async function describeTask(taskId: string, { client, settings, patience }: Asked, cancel: Cancel): Promise<TaskState> {
  cancel.signal.throwIfAborted()
  if (!isTaskId(taskId)) return { kind: 'unknown' }
  const command = { cluster: settings.cluster, tasks: [taskId] }
  const { tasks = [], failures = [] } = await callAws(
    {
      what: `look at task ${quote(taskId)}`,
      send: (options) => client.send(new DescribeTasksCommand(command), options),
    },
    patience,
    cancel,
  )
  const [task] = tasks
  if (task !== undefined) return stateOf(task)
  const reasons = failures.map(({ reason = 'no reason' }) => reason)
  if (reasons.length > 0 && reasons.every((reason) => reason === 'MISSING')) return { kind: 'unknown' }
  throw new BackupError(`Cannot look at task ${quote(taskId)}: ${reasons.join(', ') || 'ECS says nothing of it'}`, {
    code: 'aws-failed',
    retry: 'later',
    facts: { taskId },
  })
}

async function stopTask(taskId: string, { client, settings, patience }: Asked, cancel: Cancel): Promise<void> {
  cancel.signal.throwIfAborted()
  if (!isTaskId(taskId)) return
  const command = { cluster: settings.cluster, task: taskId, reason: 'Coldframe asked it to stop' }
  const send = async (options: { readonly abortSignal: AbortSignal }) => {
    try {
      await client.send(new StopTaskCommand(command), options)
    } catch (error) {
      // One that ECS has forgotten has stopped long ago.
      if (!isNotFound(error)) throw error
    }
  }
  await callAws({ what: `stop task ${quote(taskId)}`, send }, patience, cancel)
}

function runTaskInput(
  request: TaskRequest,
  { settings, place }: { readonly settings: AwsTasks; readonly place: TaskPlace },
): RunTaskCommandInput {
  const { cluster, taskDefinition, securityGroups } = settings
  const command = [...argumentsOf(request.work)]
  return {
    ...{ cluster, taskDefinition, clientToken: request.clientToken, count: 1 },
    ...(place.capacity === 'FARGATE_SPOT'
      ? { capacityProviderStrategy: [{ capacityProvider: 'FARGATE_SPOT', weight: 1 }] }
      : { launchType: place.capacity }),
    ...(place.subnet === null
      ? {}
      : {
          networkConfiguration: {
            awsvpcConfiguration: {
              subnets: [place.subnet],
              securityGroups: [...securityGroups],
              assignPublicIp: 'DISABLED',
            },
          },
        }),
    startedBy: startedByOf(request),
    propagateTags: 'TASK_DEFINITION',
    overrides: { containerOverrides: [{ name: TASK_CONTAINER, command }] },
  }
}

/**
 * Failures come in a reply of success. With one, nothing was started: a task was asked for, and none is there.
 * @throws BackupError `no-capacity`, or `task-refused` for reasons that another place would not mend
 */
function startedTask(
  { tasks = [], failures = [] }: RunTaskCommandOutput,
  { request, place }: { readonly request: TaskRequest; readonly place: TaskPlace },
): string {
  const taskArn = tasks[0]?.taskArn
  if (taskArn !== undefined) return taskArn
  const reasons = failures.map(({ reason, detail }) => [reason, detail].filter(Boolean).join(', '))
  const what = `Cannot start a task for ${nameOf(request.work)} in ${wordsOf(place)}: ${reasons.join('; ') || 'ECS gives no reason'}`
  const facts = { reasons, capacity: place.capacity, subnet: place.subnet }
  if (failures.length > 0 && failures.every(({ reason = '' }) => isCapacity(reason))) {
    const hint = 'Another place is tried, then the first again; more subnets and FARGATE_SPOT beside FARGATE help'
    throw new BackupError(what, { code: 'no-capacity', retry: 'later', hint, facts })
  }
  const hint = "Look at the cluster, and at the task definition's size and attributes"
  throw new BackupError(what, { code: 'task-refused', retry: 'later', hint, facts })
}

/**
 * RESOURCE:* (memory, cpu, ENI, ports) and AGENT are said of machines of one's own, "Capacity is unavailable at this time …" of Fargate
 * (Amazon ECS Developer Guide, "API failures messages"; repost.aws, "ecs-fargate-runtask-capacity").
 */
function isCapacity(reason: string): boolean {
  return /^RESOURCE:|^AGENT$|^EMPTY CAPACITY PROVIDER$|capacity is unavailable|no container instances were found/i.test(
    reason,
  )
}

/** Used with other parameters, and no task of it runs: nobody knows what became of the first start. */
function tokenUsed(request: TaskRequest): BackupError {
  return new BackupError(
    `Cannot start a task for ${nameOf(request.work)}: its client token was used for another start`,
    {
      code: 'task-token-used',
      retry: 'later',
      hint: 'The stack changed while the task was being started; the job is given up after a while, start it again',
      facts: { clientToken: request.clientToken },
    },
  )
}

function stateOf({ lastStatus, containers = [], stoppedReason, stopCode }: Task): TaskState {
  // DEPROVISIONING comes before: its containers have ended, but only STOPPED is the end.
  if (lastStatus !== 'STOPPED') return { kind: 'running' }
  const own = containers.find(({ name }) => name === TASK_CONTAINER)
  const words = [stoppedReason, own?.reason, stopCode === undefined ? undefined : `(${stopCode})`].filter(Boolean)
  return { kind: 'stopped', exitCode: own?.exitCode ?? null, reason: words.join(' ') || 'ECS gives no reason' }
}

/** ARN or the last part of one: what has another form was never a task of ECS. */
function isTaskId(taskId: string): boolean {
  return /^(arn:aws[a-z-]*:ecs:[^\s]+\/)?[0-9a-f]{32,36}$/.test(taskId)
}

function isNotFound(error: unknown): boolean {
  return (
    error instanceof Error && error.name === 'InvalidParameterException' && /task was not found/i.test(error.message)
  )
}

function nameOf(work: TaskWork): string {
  return work.kind === 'move' ? `job "${work.jobId}"` : `operation "${work.operationId}"`
}

function wordsOf({ capacity, subnet }: TaskPlace): string {
  return subnet === null ? capacity : `${capacity}, subnet "${subnet}"`
}
