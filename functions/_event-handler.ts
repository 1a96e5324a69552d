// The Lambda frame of the doors that EventBridge knocks at: one event a call. A call that fails is made again by whoever made it.

import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware'
import middy from '@middy/core'
import type { Context } from 'aws-lambda'
import type { Cancel } from '../lib/base/time-limit.ts'
import type { LambdaFrame } from '../lib/compose/lambda.ts'
import { deadlineOf } from './_deadline.ts'
import { openTelemetry } from './_telemetry.ts'

export type EventDoor = {
  readonly name: 'schedule' | 'task-stopped'
  /** What the log says when an event cannot be answered. */
  readonly failed: string
}

/** @param open builds what the door acts through, once, when the function starts */
export function eventHandler<Answer>(
  { name, failed }: EventDoor,
  open: (frame: LambdaFrame) => (event: unknown, cancel: Cancel) => Promise<Answer>,
) {
  const telemetry = openTelemetry(name)
  const answer = open(telemetry)
  return middy(async (event: unknown, context: Context) => {
    try {
      return await answer(event, deadlineOf(context))
    } catch (error) {
      telemetry.log.error(failed, error)
      throw error
    }
  }).use(injectLambdaContext(telemetry.logger))
}
