// The Lambda frame of what runs by the clock: one call each tick. A call that fails is not repeated; the next tick is.

import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware'
import middy from '@middy/core'
import type { Context } from 'aws-lambda'
import type { Cancel } from '../lib/base/time-limit.ts'
import type { LambdaEngine, LambdaFrame } from '../lib/compose/lambda.ts'
import { deadlineOf } from './_deadline.ts'
import { openTelemetry } from './_telemetry.ts'

export type Tick = {
  readonly name: 'watch' | 'hunt' | 'pull'
  /** @returns how many things it did, for the log */
  readonly work: (engine: LambdaEngine, cancel: Cancel) => Promise<number>
}

export function scheduleHandler({ name, work }: Tick, open: (frame: LambdaFrame) => LambdaEngine) {
  const telemetry = openTelemetry(name)
  const engine = open(telemetry)
  return middy(async (_tick: unknown, context: Context): Promise<void> => {
    const count = await work(engine, deadlineOf(context))
    telemetry.log.info('tick.done', { count })
  }).use(injectLambdaContext(telemetry.logger))
}
