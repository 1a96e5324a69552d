// What the Lambda functions of a stack do, and what they act through. Not the engine of one machine.

import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { StageMessage } from '../model/message.ts'
import type { Log, Metrics } from '../ports/log.ts'
import type { StageDeps } from '../stages/deps.ts'
import { HUNT_ALL, hunt } from '../stages/hunt.ts'
import { handleMessage } from '../stages/run-stage.ts'
import { watch } from '../stages/watch.ts'

/** What a function brings with it: where it writes its log and its metrics. */
export type LambdaFrame = { readonly log: Log; readonly metrics: Metrics }

export type LambdaEngine = {
  /** Handles one message; throwing means that it is to be delivered again. `invocation` is unique per call. */
  handle(message: StageMessage, options: Cancel & { readonly invocation: string }): Promise<void>
  /** Sends again what was lost. @returns how many messages */
  watch(cancel: Cancel): Promise<number>
  /** Mends what nobody is at work with. @returns how many VMs it found something on */
  hunt(cancel: Cancel): Promise<number>
}

/** @throws BackupError `engine-not-available` */
export function openLambdaEngine(frame: LambdaFrame): LambdaEngine {
  return lambdaEngine(openAwsDeps(frame))
}

/** The engine over any dependencies. */
export function lambdaEngine(deps: StageDeps): LambdaEngine {
  return {
    handle: (message, options) => handleMessage(message, deps, options),
    watch: (cancel) => watch(deps, cancel),
    hunt: async (cancel) => (await hunt(HUNT_ALL, deps, cancel)).findings.length,
  }
}

/** The ports on AWS's side. Until they exist, functions must not start: a stage without state would lose jobs. */
function openAwsDeps(frame: LambdaFrame): StageDeps {
  const refusal = new BackupError('Cannot start the engine on AWS: this release has only the engine of one machine', {
    code: 'engine-not-available',
    kind: 'refused',
    hint: 'Run "coldframe backup" on a machine of your own; remove the stack, its functions cannot work yet',
  })
  frame.log.error('engine.refused', refusal)
  throw refusal
}
