// The ports of a program on AWS, from its settings. Each adapter, its SDK client and its package are loaded when they are first needed, and
// once: a function pays only for what it uses, and asks only for the settings that it needs.

import { dynamoJobStore } from '../adapters/aws/job-store.ts'
import { openStateTable } from '../adapters/aws/state-table.ts'
import { memoryMeter } from '../adapters/memory/meter.ts'
import { meteredEvents, meteredSender, meteredWrapper } from '../adapters/wrap/metered-calls.ts'
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { StageKind } from '../model/message.ts'
import type { GuestNetwork } from '../ports/guest.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { Events } from '../ports/log.ts'
import type { Meter } from '../ports/meter.ts'
import type { Notifier } from '../ports/notifier.ts'
import type { MessageSender } from '../ports/queue.ts'
import type { Schedules } from '../ports/schedules.ts'
import type { Secrets } from '../ports/secrets.ts'
import type { Tasks } from '../ports/tasks.ts'
import type { Vsphere } from '../ports/vsphere.ts'
import type { Repository } from '../repository/repository.ts'
import { type AwsSettings, needed, neededQueue, parseAwsSettings, placesOf } from '../wire/aws-settings.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Calls throw `settings-faulty` (kind usage), naming a variable that this program was not given. */
export type AwsPorts = {
  readonly settings: AwsSettings
  readonly meter: Meter
  readonly jobStore: JobStore
  readonly sender: MessageSender
  readonly vsphere: Vsphere
  readonly tasks: Tasks
  readonly guests: GuestNetwork
  /** By whole name or ARN. */
  readonly secrets: Secrets
  readonly events: Events
  readonly notifier: Notifier
  readonly schedules: Schedules
  /** Opened to write to it, once. */
  readonly repository: (cancel: Cancel) => Promise<Repository>
}

const patience = { clock: systemClock, random: systemRandom }

/** @throws BackupError `settings-faulty` (kind usage) with all faults of what was given */
export function openAwsPorts(environment: Environment): AwsPorts {
  const settings = parseAwsSettings(environment)
  const meter = memoryMeter({ functionGb: Number(environment['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'] ?? 0) / 1_024 })
  const secrets = lazySecrets()
  return {
    ...{ settings, meter, secrets },
    jobStore: dynamoJobStore(openStateTable({ table: needed(settings, 'table'), ...patience, meter }), patience),
    sender: lazySender(settings, meter),
    vsphere: lazyVsphere(settings, secrets),
    tasks: lazyTasks(settings),
    guests: lazyGuests(),
    events: lazyEvents(settings, meter),
    notifier: lazyNotifier(settings),
    schedules: lazySchedules(settings),
    repository: lazyRepository(settings, { environment, meter }),
  }
}

/** Opens once; what failed is tried again by the next who asks. */
function once<Result>(open: () => Promise<Result>): () => Promise<Result> {
  let opened: Promise<Result> | null = null
  return () => {
    opened ??= open().catch((error: unknown) => {
      opened = null
      throw error
    })
    return opened
  }
}

function lazySender(settings: AwsSettings, meter: Meter): MessageSender {
  const sender = once(async () => {
    const { sqsSender } = await import('../adapters/aws/queue.ts')
    return meteredSender(sqsSender({ ...patience, urlOf: (kind: StageKind) => neededQueue(settings, kind) }), meter)
  })
  return { send: async (message, options, cancel) => (await sender()).send(message, options, cancel) }
}

function lazySecrets(): Secrets {
  const secrets = once(async () => (await import('../adapters/aws/secrets.ts')).awsSecrets({ prefix: '' }, patience))
  return { read: async (name, cancel) => (await secrets()).read(name, cancel) }
}

function lazyVsphere(settings: AwsSettings, secrets: Secrets): Vsphere {
  const adapter = once(() => Promise.all([import('../adapters/vsphere/vsphere.ts'), import('./aws-vcenter.ts')]))
  return {
    open: async (cancel) => {
      const vcenter = needed(settings, 'vcenter')
      const [{ openVsphere }, { awsVsphereSettings }] = await adapter()
      return await openVsphere(awsVsphereSettings(vcenter, { secrets, ...patience })).open(cancel)
    },
  }
}

function lazyTasks(settings: AwsSettings): Tasks {
  const tasks = once(async () => {
    const { ecsTasks } = await import('../adapters/aws/tasks.ts')
    return ecsTasks(needed(settings, 'tasks'), patience)
  })
  return {
    placements: settings.tasks === null ? 1 : placesOf(settings.tasks).length,
    start: async (request, cancel) => (await tasks()).start(request, cancel),
    find: async (request, cancel) => (await tasks()).find(request, cancel),
    describe: async (taskId, cancel) => (await tasks()).describe(taskId, cancel),
    stop: async (taskId, cancel) => (await tasks()).stop(taskId, cancel),
  }
}

function lazyGuests(): GuestNetwork {
  const network = once(async () => (await import('../adapters/guest/network.ts')).guestNetwork())
  return {
    probe: async (doors, options, cancel) => (await network()).probe(doors, options, cancel),
    openSsh: async (request, cancel) => (await network()).openSsh(request, cancel),
    openWinrm: async (request, cancel) => (await network()).openWinrm(request, cancel),
  }
}

function lazyEvents(settings: AwsSettings, meter: Meter): Events {
  const events = once(async () => {
    const { eventBridgeEvents } = await import('../adapters/aws/events.ts')
    return meteredEvents(eventBridgeEvents({ bus: needed(settings, 'eventBus') }, patience), meter)
  })
  return { publish: async (event, cancel) => (await events()).publish(event, cancel) }
}

function lazyNotifier(settings: AwsSettings): Notifier {
  const notifier = once(async () => {
    const { snsNotifier } = await import('../adapters/aws/notifier.ts')
    return snsNotifier({ topicArn: needed(settings, 'topic') }, patience)
  })
  return { notify: async (notification, cancel) => (await notifier()).notify(notification, cancel) }
}

function lazySchedules(settings: AwsSettings): Schedules {
  const schedules = once(async () => {
    const { schedulerSchedules } = await import('../adapters/aws/schedules.ts')
    return schedulerSchedules(needed(settings, 'scheduler'), patience)
  })
  return {
    put: async (schedule, cancel) => (await schedules()).put(schedule, cancel),
    remove: async (policy, cancel) => (await schedules()).remove(policy, cancel),
    list: async (cancel) => (await schedules()).list(cancel),
  }
}

function lazyRepository(
  settings: AwsSettings,
  { environment, meter }: { readonly environment: Environment; readonly meter: Meter },
): (cancel: Cancel) => Promise<Repository> {
  let opened: Repository | null = null
  // Not shared while it opens: each caller has a time limit of its own.
  return async (cancel) => {
    if (opened !== null) return opened
    const [place, keyArn] = [needed(settings, 'repository'), needed(settings, 'kmsKey')]
    const [{ openBucket }, { kmsWrapper }, { meteredStore }, { openForWriting }] = await Promise.all([
      import('./bucket-store.ts'),
      import('../adapters/aws/kms.ts'),
      import('../adapters/wrap/metered-store.ts'),
      import('../repository/open-repository.ts'),
    ])
    const store = meteredStore(openBucket(place, { environment, ...patience }), meter)
    opened = await openForWriting(
      { store, wrappers: [meteredWrapper(kmsWrapper({ keyArn }, patience), meter)] },
      cancel,
    )
    return opened
  }
}
