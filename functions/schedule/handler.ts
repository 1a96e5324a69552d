// Lambda entry point of the door `schedule`: EventBridge Scheduler says that a policy's time has come.

import { openScheduleDoor } from '../../lib/compose/schedule-door.ts'
import { eventHandler } from '../_event-handler.ts'

export const handler = eventHandler({ name: 'schedule', failed: 'schedule.failed' }, openScheduleDoor)
