// Lambda entry point of the stage `alarm`: one alarm a message, to be decided about.

import { openLambdaEngine } from '../../lib/compose/lambda.ts'
import { queueHandler } from '../_queue-handler.ts'

export const handler = queueHandler('alarm', openLambdaEngine)
