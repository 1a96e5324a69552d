// Lambda entry point of the door `task-stopped`: EventBridge says that a task of ours on ECS has stopped.

import { openTaskDoor } from '../../lib/compose/task-door.ts'
import { eventHandler } from '../_event-handler.ts'

export const handler = eventHandler({ name: 'task-stopped', failed: 'task.not-told' }, openTaskDoor)
