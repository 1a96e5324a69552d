// A stack's services on this machine, with a simulated vCenter, and stages that work on them: only the functions' frames and the queues
// are missing. What a task does is done by task/main.ts, started by the ECS server.

import { fileURLToPath } from 'node:url'
import { dynamoJobStore } from '../../lib/adapters/aws/job-store.ts'
import { kmsWrapper } from '../../lib/adapters/aws/kms.ts'
import { ecsTasks, TASK_CONTAINER } from '../../lib/adapters/aws/tasks.ts'
import { passphraseWrapper } from '../../lib/adapters/local/passphrase.ts'
import { memoryEvents } from '../../lib/adapters/memory/events.ts'
import { memoryLog, memoryMetrics } from '../../lib/adapters/memory/log.ts'
import { memoryMeter } from '../../lib/adapters/memory/meter.ts'
import { memoryNotifier } from '../../lib/adapters/memory/notifier.ts'
import { memoryQueue } from '../../lib/adapters/memory/queue.ts'
import { openVsphere } from '../../lib/adapters/vsphere/vsphere.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { openAwsRepository } from '../../lib/compose/aws-repository.ts'
import { wakeForStopped } from '../../lib/doors/task-stopped.ts'
import { STAGE_KINDS } from '../../lib/model/message.ts'
import { DEFAULT_PRICES } from '../../lib/model/prices.ts'
import { createRepository } from '../../lib/repository/open-repository.ts'
import { claimLivesUntilItsTime, defaultStageLimits, type StageDeps } from '../../lib/stages/deps.ts'
import { handleMessage } from '../../lib/stages/run-stage.ts'
import { parseAwsSettings } from '../../lib/wire/aws-settings.ts'
import { parseStoppedTask } from '../../lib/wire/task-state-change.ts'
import type { Sim } from '../flow/kit.ts'
import { type EcsServer, openEcs } from '../kit/aws/ecs.ts'
import { TEST_CREDENTIALS, TEST_ENVIRONMENT } from '../kit/aws/identity.ts'
import { openKms } from '../kit/aws/kms.ts'
import { runProcess } from '../kit/aws/run-process.ts'
import { openSecrets } from '../kit/aws/secrets.ts'
import { startS3Server } from '../kit/s3-server.ts'
import { storeOn } from '../kit/s3-stores.ts'
import { openTable } from '../kit/state-table.ts'

const cancel = { signal: new AbortController().signal }
/** The entry point of containers. */
export const program = fileURLToPath(new URL('../../task/main.ts', import.meta.url))

export type Stack = AsyncDisposable & {
  readonly deps: StageDeps
  readonly ecs: EcsServer
  /** What containers are told. */
  readonly environment: Readonly<Record<string, string>>
  /** Lines that tasks wrote. */
  readonly output: readonly string[]
  /** Handles messages until `done`. */
  work(done: () => Promise<boolean>): Promise<void>
}

export async function openStack(sim: Sim): Promise<Stack> {
  await using open = new AsyncDisposableStack()
  const state = open.use(await openTable())
  const s3 = open.use(await startS3Server({ credentials: [TEST_CREDENTIALS] }))
  s3.addBucket('backups')
  const kms = open.use(await openKms())
  const secrets = open.use(await openSecrets())
  secrets.put('vcenter', { text: JSON.stringify({ user: sim.user, password: sim.password }) })
  const keyArn = kms.createKey()
  const environment = {
    ...TEST_ENVIRONMENT,
    ...{ AWS_ENDPOINT_URL_DYNAMODB: state.endpoint, AWS_ENDPOINT_URL_S3: s3.endpoint },
    ...{ AWS_ENDPOINT_URL_KMS: kms.endpoint, AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint },
    ...{ COLDFRAME_TABLE: state.name, COLDFRAME_REPOSITORY: 's3:backups/repository', COLDFRAME_KMS_KEY: keyArn },
    ...{ COLDFRAME_VCENTER: sim.url, COLDFRAME_VCENTER_SECRET: 'vcenter' },
    COLDFRAME_VCENTER_THUMBPRINT: sim.thumbprintSha256,
  }
  // The adapters of this process find their servers as those of the tasks do.
  Object.assign(process.env, environment)
  const wrappers = [
    passphraseWrapper({ passphrase: 'p', random: systemRandom, cost: { memoryKiB: 64, passes: 1, lanes: 1 } }),
    kmsWrapper({ keyArn }, { clock: systemClock, random: systemRandom }),
  ]
  const store = storeOn(s3, { prefix: 'repository/' })
  await createRepository({ store, wrappers, random: systemRandom, clock: systemClock }, cancel)

  const output: string[] = []
  const queue = memoryQueue({ clock: systemClock, receivesMax: 5 })
  const run = runProcess({
    ...{ file: process.execPath, args: [program], stopMs: 20_000, onOutput: (text: string) => output.push(text) },
    environment: { PATH: process.env['PATH'], ...environment },
  })
  const wakes: Promise<unknown>[] = []
  open.defer(async () => void (await Promise.all(wakes)))
  const onEvent = (event: unknown) => {
    const stopped = parseStoppedTask(event)
    if (stopped !== null) wakes.push(wakeForStopped(stopped, deps, cancel))
  }
  const places = { subnets: ['subnet-a', 'subnet-b'], securityGroups: ['sg-1'] }
  const known = { cluster: 'coldframe', taskDefinition: 'coldframe:1', container: TASK_CONTAINER }
  const ecs = open.use(await openEcs({ ...known, ...places, run, onEvent, listedAfter: 1, eventCopies: 2 }))
  const deps = depsOf({ ecs, places, sim, state, queue })
  const kept = open.move()
  return {
    ...{ deps, ecs, environment, output },
    work: (done) => work(queue, deps, done),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

type Made = {
  readonly ecs: EcsServer
  readonly places: { readonly subnets: readonly string[]; readonly securityGroups: readonly string[] }
  readonly sim: Sim
  readonly state: Awaited<ReturnType<typeof openTable>>
  readonly queue: ReturnType<typeof memoryQueue>
}

function depsOf({ ecs, places, sim, state, queue }: Made): StageDeps {
  const patience = { clock: systemClock, random: systemRandom }
  const { clusterArn: cluster, taskDefinitionArn: taskDefinition } = ecs
  const meter = memoryMeter({ functionGb: 0 })
  const around = { environment: process.env, ...patience }
  return {
    ...patience,
    log: memoryLog(),
    metrics: memoryMetrics(),
    ...{
      meter,
      events: memoryEvents(),
      notifier: memoryNotifier(),
      sender: queue,
      prices: DEFAULT_PRICES,
      moverVm: null,
    },
    jobStore: dynamoJobStore(state.table, { clock: systemClock }),
    vsphere: openVsphere({
      ...{ url: sim.sdkUrl, account: async () => ({ user: sim.user, password: sim.password }), ...patience },
      trust: { kind: 'thumbprint', sha256: sim.thumbprintSha256 },
    }),
    tasks: ecsTasks({ cluster, taskDefinition, ...places, capacity: ['FARGATE'] }, { ...patience, ...ecs.client }),
    guests: {
      probe: async (doors) => doors.map(() => ({ kind: 'silent', reason: 'not asked' })),
      openSsh: () => Promise.reject(new Error('no guest is entered')),
      openWinrm: () => Promise.reject(new Error('no guest is entered')),
    },
    guestAccount: () => Promise.reject(new Error('no guest is entered')),
    repository: (each) => openAwsRepository(parseAwsSettings(process.env), { around, meter }, each),
    limits: { ...defaultStageLimits, pollMs: 100, moverMarginMs: 5_000 },
    isClaimLive: claimLivesUntilItsTime,
  }
}

async function work(queue: Made['queue'], deps: StageDeps, done: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 60_000
  for (let call = 1; !(await done()); call++) {
    if (performance.now() > endMs) throw new Error('The stack does not come to rest')
    for (const kind of STAGE_KINDS) {
      for (const delivery of await queue.receive(kind, { max: 10, visibilityMs: 30_000 }, cancel)) {
        await handleMessage(delivery.message, deps, { ...cancel, invocation: `${kind}-${call}` })
        await queue.remove(delivery, cancel)
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
