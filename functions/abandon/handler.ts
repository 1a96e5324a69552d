// Lambda entry point of the stage `abandon`: messages sent to it, and the dead letters of all other stages.

import { openLambdaEngine } from '../../lib/compose/lambda.ts'
import { queueHandler } from '../_queue-handler.ts'

export const handler = queueHandler('abandon', openLambdaEngine)
