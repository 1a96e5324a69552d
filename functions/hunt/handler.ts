// Lambda entry point of `hunt`: a schedule's tick, every four hours.

import { openLambdaEngine } from '../../lib/compose/lambda.ts'
import { scheduleHandler } from '../_schedule-handler.ts'

export const handler = scheduleHandler(
  { name: 'hunt', work: (engine, cancel) => engine.hunt(cancel) },
  openLambdaEngine,
)
