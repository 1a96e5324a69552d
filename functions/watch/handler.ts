// Lambda entry point of `watch`: a schedule's tick, each minute.

import { openLambdaEngine } from '../../lib/compose/lambda.ts'
import { scheduleHandler } from '../_schedule-handler.ts'

export const handler = scheduleHandler(
  { name: 'watch', work: (engine, cancel) => engine.watch(cancel) },
  openLambdaEngine,
)
