// What the Lambda functions of a stack do, and what they act through. Not the engine of one machine.

import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import { pullAlarms } from '../doors/pull.ts'
import type { StageMessage } from '../model/message.ts'
import { DEFAULT_PRICES } from '../model/prices.ts'
import type { Log, Metrics } from '../ports/log.ts'
import { claimLivesUntilItsTime, defaultStageLimits, type StageDeps } from '../stages/deps.ts'
import { HUNT_ALL, hunt } from '../stages/hunt.ts'
import { handleMessage } from '../stages/run-stage.ts'
import { watch } from '../stages/watch.ts'
import { type Environment, openAwsPorts } from './aws.ts'

/** What a function brings with it: where it writes its log and its metrics, and what it was told. */
export type LambdaFrame = { readonly log: Log; readonly metrics: Metrics; readonly environment: Environment }

export type LambdaEngine = {
  /** Handles one message; throwing means that it is to be delivered again. `invocation` is unique per call. */
  handle(message: StageMessage, options: Cancel & { readonly invocation: string }): Promise<void>
  /** Sends again what was lost. @returns how many messages */
  watch(cancel: Cancel): Promise<number>
  /** Mends what nobody is at work with. @returns how many VMs it found something on */
  hunt(cancel: Cancel): Promise<number>
  /** Reads what vCenter says of alarms. @returns how many came in */
  pull(cancel: Cancel): Promise<number>
}

/** @throws BackupError `settings-faulty` (kind usage): a function without its table must not start */
export function openLambdaEngine(frame: LambdaFrame): LambdaEngine {
  return lambdaEngine(openAwsDeps(frame))
}

/** The engine over any dependencies. */
export function lambdaEngine(deps: StageDeps): LambdaEngine {
  return {
    handle: (message, options) => handleMessage(message, deps, options),
    watch: (cancel) => watch(deps, cancel),
    hunt: async (cancel) => (await hunt(HUNT_ALL, deps, cancel)).findings.length,
    pull: (cancel) => pullAlarms(deps, cancel),
  }
}

/**
 * Nothing is contacted. What a function was not given is missed by whoever needs it, by its variable's name.
 * @throws BackupError `settings-faulty` (kind usage)
 */
export function openAwsDeps({ log, metrics, environment }: LambdaFrame): StageDeps {
  const ports = openAwsPorts(environment)
  const { settings, secrets } = ports
  const { meter, events, notifier, jobStore, sender, vsphere, tasks, guests, repository } = ports
  return {
    ...{ log, metrics, meter, events, notifier, jobStore, sender, vsphere, tasks, guests, repository },
    clock: systemClock,
    random: systemRandom,
    prices: DEFAULT_PRICES,
    guestAccount: async (name, cancel) => {
      const { parseGuestCredentials } = await import('../wire/guest-credentials.ts')
      return parseGuestCredentials(await secrets.read(`${settings.secretPrefix}guest/${name}`, cancel), name)
    },
    limits: {
      ...defaultStageLimits,
      admission: { ...defaultStageLimits.admission, ...settings.admission },
    },
    moverVm: settings.vddk.moverVm,
    isClaimLive: claimLivesUntilItsTime,
  }
}
