// Starting a task on an entity: one at a time for a machine, with the scenario's mishaps.

import { SimFault } from '../../machine/types.ts'
import { isData, type Ref, textAt, type Value } from '../../soap/value.ts'
import type { Call } from '../front.ts'
import type { TaskPlan } from '../tasks.ts'
import type { Entity } from '../world.ts'

export type TaskWork = {
  readonly entity: Entity
  readonly descriptionId: string
  readonly durationMs: number
  readonly work: TaskPlan['work']
}

/** @throws SimFault TaskInProgress while another task changes the same machine */
export function startTask(call: Call, task: TaskWork): Ref {
  const busy = task.entity.kind === 'machine' ? runningOn(call, task.entity.ref) : null
  if (busy !== null) {
    const properties = { task: busy.id, referenceType: 'Task' }
    throw new SimFault('TaskInProgress', 'Another task is already in progress.', properties)
  }
  return call.front.tasks.start({
    name: call.args.type,
    descriptionId: task.descriptionId,
    entity: task.entity.ref,
    entityName: task.entity.name,
    userName: call.session?.userName ?? '',
    durationMs: task.durationMs,
    mishap: call.mishap,
    work: task.work,
  })
}

function runningOn({ front }: Call, entity: Ref): Ref | null {
  return (
    front.tasks.recentOf(entity).find((task) => {
      const state = stateOf(front.tasks.find(task.id)?.properties['info']?.() ?? null)
      return state === 'queued' || state === 'running'
    }) ?? null
  )
}

function stateOf(value: Value | null): string | null {
  return isData(value) ? textAt(value, 'state') : null
}
