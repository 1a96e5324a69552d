// Lambda entry point of the pull door: a schedule's tick, each minute.

import { openLambdaEngine } from '../../lib/compose/lambda.ts'
import { scheduleHandler } from '../_schedule-handler.ts'

export const handler = scheduleHandler(
  { name: 'pull', work: (engine, cancel) => engine.pull(cancel) },
  openLambdaEngine,
)
