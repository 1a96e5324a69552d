// Lambda entry point of the stage `operate`: wake-up messages of restores and checks.

import { openLambdaEngine } from '../../lib/compose/lambda.ts'
import { queueHandler } from '../_queue-handler.ts'

export const handler = queueHandler('operate', openLambdaEngine)
