// The Lambda frame of the door of tasks: one event of EventBridge a call. A call that fails is made again by Lambda.

import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware'
import middy from '@middy/core'
import type { Context } from 'aws-lambda'
import type { TaskDoor, TaskDoorFrame } from '../lib/compose/task-door.ts'
import { deadlineOf } from './_deadline.ts'
import { openTelemetry } from './_telemetry.ts'

/** @param open builds what the door acts through, once, when the function starts */
export function taskDoorHandler(open: (frame: TaskDoorFrame) => TaskDoor) {
  const telemetry = openTelemetry('task-stopped')
  const knock = open({ ...telemetry, environment: process.env })
  return middy(async (event: unknown, context: Context) => {
    try {
      await knock(event, deadlineOf(context))
    } catch (error) {
      telemetry.log.error('task.not-told', error)
      throw error
    }
  }).use(injectLambdaContext(telemetry.logger))
}
