// Lambda entry point of the stage `capture`: wake-up messages of the queue of that name.

import { openLambdaEngine } from '../../lib/compose/lambda.ts'
import { queueHandler } from '../_queue-handler.ts'

export const handler = queueHandler('capture', openLambdaEngine)
