// Lambda entry point of the door `schedule`: EventBridge Scheduler says that a policy's time has come.

import { openScheduleDoor } from '../../lib/compose/schedule-door.ts'
import { scheduleDoorHandler } from '../_schedule-door-handler.ts'

export const handler = scheduleDoorHandler(openScheduleDoor)
