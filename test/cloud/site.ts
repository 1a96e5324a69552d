// Everything that a stack needs around it on this machine: a simulated vCenter, S3, the other services, tasks, and the stack itself,
// deployed from its generated template.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cancel } from '../../lib/base/time-limit.ts'
import { openSimulator, type Simulator } from '../../local/simulator.ts'
import { type EcsEvent, type EcsServer, openEcs } from '../kit/aws/ecs.ts'
import { type EventBridgeServer, openEventBridge } from '../kit/aws/eventbridge.ts'
import { TEST_CREDENTIALS, TEST_ENVIRONMENT } from '../kit/aws/identity.ts'
import { type KmsServer, openKms } from '../kit/aws/kms.ts'
import { openScheduler, type SchedulerServer } from '../kit/aws/scheduler.ts'
import { openSecrets, type SecretsServer } from '../kit/aws/secrets.ts'
import { openSns, type SnsServer } from '../kit/aws/sns.ts'
import { type S3Server, startS3Server } from '../kit/s3-server.ts'
import { authorizer } from './authorize.ts'
import { type Cloud, openCloud } from './cloud.ts'
import type { Stack } from './resolve.ts'
import { type TaskCounts, taskDefinitions, taskRunner } from './task-host.ts'
import { type PackagedStack, unpackFunction } from './template.ts'
import type { VirtualTime } from './virtual-time.ts'

export type SiteOptions = {
  readonly packaged: PackagedStack
  readonly time: VirtualTime
  /** Of this site alone. */
  readonly folder: string
  /** The simulator's arguments: estate and what its guests do. */
  readonly simulator: readonly string[]
  readonly parameters?: Readonly<Record<string, string>>
  /** Secrets besides vCenter's, by name. */
  readonly secrets?: Readonly<Record<string, string>>
}

export type EcsMischief = {
  /** Why a placement has no capacity, at its n-th try; null: it has. */
  refuses: (place: { readonly capacity: string; readonly subnet: string | null }, nth: number) => string | null
  /** What of events is delivered, and how often. */
  events: (event: EcsEvent) => readonly EcsEvent[]
}

export interface Site extends AsyncDisposable {
  readonly cloud: Cloud
  readonly simulator: Simulator
  readonly s3: S3Server
  readonly kms: KmsServer
  readonly secrets: SecretsServer
  readonly events: EventBridgeServer
  readonly sns: SnsServer
  readonly scheduler: SchedulerServer
  readonly ecs: EcsServer
  readonly tasks: TaskCounts
  readonly mischief: EcsMischief
  readonly bucket: string
  readonly kmsKey: string
  readonly packaged: PackagedStack
  readonly folder: string
}

export async function openSite(options: SiteOptions, cancel: Cancel): Promise<Site> {
  const { packaged, time, folder } = options
  await using opening = new AsyncDisposableStack()
  const logFolder = join(folder, 'logs')
  await mkdir(logFolder, { recursive: true })
  const program = join(import.meta.dirname, '..', '..', 'sim', 'main.ts')
  const simulator = opening.use(await openSimulator({ program, args: options.simulator }, cancel))
  const { started } = simulator
  const kms = opening.use(await openKms())
  const secrets = opening.use(await openSecrets())
  const s3 = opening.use(await startS3Server({ credentials: [TEST_CREDENTIALS], nowMs: () => time.nowMs() }))
  secrets.put('coldframe/vcenter', { text: JSON.stringify({ user: started.user, password: started.password }) })
  for (const [name, text] of Object.entries(options.secrets ?? {})) secrets.put(name, { text })
  const kmsKey = kms.createKey()
  const tasks: TaskCounts = { started: 0, failed: 0, killed: 0 }
  const mischief: EcsMischief = { refuses: () => null, events: (event) => [event] }
  const made: { cloud?: Cloud; peers?: StackPeers } = {}
  const around = { packaged, time, logFolder, tasks, mischief, made }
  const vcenter = { VCenter: started.url, VCenterThumbprint: started.thumbprintSha256 }
  const cloud = opening.use(
    await openCloud({
      ...{ template: packaged.template, time, folder: logFolder },
      parameters: { ...vcenter, WrapKeyArn: kmsKey, ...options.parameters },
      taskRootOf: (name) => unpackFunction(packaged, name),
      openPeers: async (stack) => {
        const { ecs, events, sns, scheduler } = opening.use(await openStackPeers(stack, around))
        made.peers = { ecs, events, sns, scheduler }
        return {
          ...{ s3: s3.endpoint, kms: kms.endpoint, secretsmanager: secrets.endpoint, ecs: ecs.endpoint },
          ...{ events: events.endpoint, sns: sns.endpoint, scheduler: scheduler.endpoint },
        }
      },
      credentials: TEST_ENVIRONMENT,
      authorize: authorizer(),
    }),
  )
  made.cloud = cloud
  const { peers } = made
  if (peers === undefined) throw new Error('The stack was opened without its peers')
  const bucket = bucketOf(cloud.stack)
  s3.addBucket(bucket, { objectLock: true })
  const own = opening.move()
  return {
    ...{ cloud, simulator, s3, kms, secrets, ...peers, tasks, mischief, bucket, kmsKey, packaged, folder },
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  }
}

type StackPeers = {
  readonly ecs: EcsServer
  readonly events: EventBridgeServer
  readonly sns: SnsServer
  readonly scheduler: SchedulerServer
}

type Around = {
  readonly packaged: PackagedStack
  readonly time: VirtualTime
  readonly logFolder: string
  readonly tasks: TaskCounts
  readonly mischief: EcsMischief
  readonly made: { readonly cloud?: Cloud }
}

/** Those that are told names of the stack's own. */
async function openStackPeers(stack: Stack, around: Around): Promise<StackPeers & AsyncDisposable> {
  await using opening = new AsyncDisposableStack()
  const idOf = (type: string) => stack.ofType(type).map((name) => String(stack.resolve({ Ref: name }, name)))
  const { packaged, time, logFolder, tasks, mischief, made } = around
  const definitions = taskDefinitions(stack)
  const [definition, ...others] = definitions
  if (definition === undefined) throw new Error('The stack has no task definition')
  let starts = 0
  const ecs = opening.use(
    await openEcs({
      cluster: idOf('AWS::ECS::Cluster')[0] ?? '',
      taskDefinition: definition.id,
      otherTaskDefinitions: others.map(({ id }) => id),
      container: definition.container,
      subnets: idOf('AWS::EC2::Subnet'),
      securityGroups: idOf('AWS::EC2::SecurityGroup'),
      run: taskRunner({
        entry: join(packaged.folder, 'build', 'task', 'main.mjs'),
        ...{ definitions, time, logFolder, counts: tasks },
        proxy: () => theCloud(made).proxy,
        hold: () => theCloud(made).hold(),
      }),
      refuses: (place) => mischief.refuses(place, ++starts),
      onEvent: (event) => {
        for (const one of mischief.events(event)) putEvent(one, made)
      },
    }),
  )
  const events = opening.use(await openEventBridge({ bus: idOf('AWS::Events::EventBus')[0] ?? '' }))
  const topic = idOf('AWS::SNS::Topic')[0] ?? ''
  const sns = opening.use(await openSns({ topic: topic.slice(topic.lastIndexOf(':') + 1) }))
  const scheduler = opening.use(await openScheduler({ group: idOf('AWS::Scheduler::ScheduleGroup')[0] ?? 'default' }))
  const own = opening.move()
  return { ecs, events, sns, scheduler, [Symbol.asyncDispose]: () => own.disposeAsync() }
}

function theCloud({ cloud }: { readonly cloud?: Cloud }): Cloud {
  if (cloud === undefined) throw new Error('The cloud is not open yet')
  return cloud
}

/** As JSON, which dates are no part of. */
function putEvent(event: EcsEvent, made: { readonly cloud?: Cloud }): void {
  theCloud(made).putEvent(JSON.parse(JSON.stringify(event)), 'default')
}

function bucketOf(stack: Stack): string {
  const repository = taskDefinitions(stack)[0]?.environment['COLDFRAME_REPOSITORY'] ?? ''
  const [, bucket = ''] = /^s3:([^/]+)/.exec(repository) ?? []
  if (bucket === '') throw new Error(`The repository of tasks is "${repository}"`)
  return bucket
}
