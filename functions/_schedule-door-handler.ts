// The Lambda frame of the door of schedules: one event of EventBridge Scheduler a call. A call that fails is sent again by the scheduler.

import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware'
import middy from '@middy/core'
import type { Context } from 'aws-lambda'
import type { LambdaFrame } from '../lib/compose/lambda.ts'
import type { ScheduleDoor } from '../lib/compose/schedule-door.ts'
import { deadlineOf } from './_deadline.ts'
import { openTelemetry } from './_telemetry.ts'

/** @param open builds what the door acts through, once, when the function starts */
export function scheduleDoorHandler(open: (frame: LambdaFrame) => ScheduleDoor) {
  const telemetry = openTelemetry('schedule')
  const answer = open({ ...telemetry, environment: process.env })
  return middy(async (event: unknown, context: Context) => {
    try {
      return await answer(event, deadlineOf(context))
    } catch (error) {
      telemetry.log.error('schedule.failed', error)
      throw error
    }
  }).use(injectLambdaContext(telemetry.logger))
}
