// Lambda entry point of the door `task-stopped`: EventBridge says that a task of ours on ECS has stopped.

import { openTaskDoor } from '../../lib/compose/task-door.ts'
import { taskDoorHandler } from '../_task-door-handler.ts'

export const handler = taskDoorHandler(openTaskDoor)
