// Tasks: queued, running with progress, then success or error; forgotten a while after their end, as servers do.

import type { Clock } from '../../lib/base/clock.ts'
import { type Cancel, isAbort } from '../../lib/base/time-limit.ts'
import { SimFault, type SimMishap } from '../machine/types.ts'
import { type Data, data, type Ref, ref, type Value } from '../soap/value.ts'
import { asFault, faultWithMessage } from './faults.ts'
import type { ManagedObject } from './managed-object.ts'

export type TaskPlan = {
  /** TaskInfo.name: the method. */
  readonly name: string
  /** TaskInfo.descriptionId, for example "VirtualMachine.createSnapshot". */
  readonly descriptionId: string
  readonly entity: Ref
  readonly entityName: string
  readonly userName: string
  /** How long the task runs; its work happens half way. */
  readonly durationMs: number
  readonly mishap: SimMishap | null
  /** What the task does; its value is TaskInfo.result. */
  readonly work: (cancel: Cancel) => Value | null | Promise<Value | null>
}

export interface Tasks {
  start(plan: TaskPlan): Ref
  find(id: string): ManagedObject | null
  /** Those not forgotten, oldest first. */
  recent(): readonly Ref[]
  recentOf(entity: Ref): readonly Ref[]
  /** @throws SimFault NotSupported once the task has ended, or its work is done */
  cancel(id: string): void
  /** Ends a running task, whether it can be cancelled or not. */
  end(id: string): void
  /** Ends every running task. */
  close(): Promise<void>
}

type Task = {
  readonly ref: Ref
  readonly plan: TaskPlan
  readonly queuedMs: number
  readonly stop: AbortController
  state: 'queued' | 'running' | 'success' | 'error'
  startedMs: number | null
  endedMs: number | null
  progress: number
  cancelled: boolean
  cancelable: boolean
  result: Value | null
  fault: SimFault | null
}

const RECENT_MAX = 1000

export function openTasks(options: { readonly clock: Clock; readonly keepMs: number }): Tasks {
  const { clock, keepMs } = options
  const tasks = new Map<string, Task>()
  const running = new Map<Task, Promise<void>>()
  let number = 1
  const forget = () => {
    const oldest = clock.nowMs() - keepMs
    for (const task of tasks.values()) {
      if (task.endedMs !== null && (task.endedMs < oldest || tasks.size > RECENT_MAX)) tasks.delete(task.ref.id)
    }
  }
  return {
    start: (plan) => {
      forget()
      const task = newTask(ref('Task', `task-${number++}`), { plan, nowMs: clock.nowMs() })
      tasks.set(task.ref.id, task)
      const forgetIt = () => void tasks.delete(task.ref.id)
      const run = carryOut(task, { clock, forgetIt }).finally(() => running.delete(task))
      running.set(task, run)
      return task.ref
    },
    find: (id) => {
      forget()
      const task = tasks.get(id)
      return task === undefined ? null : { ref: task.ref, properties: { info: () => taskState(task) } }
    },
    recent: () => {
      forget()
      return [...tasks.values()].map((task) => task.ref)
    },
    recentOf: (entity) => {
      forget()
      return [...tasks.values()].filter((task) => task.plan.entity.id === entity.id).map((task) => task.ref)
    },
    cancel: (id) => {
      const task = tasks.get(id)
      if (task === undefined) return
      if (!task.cancelable) throw new SimFault('NotSupported', 'The operation is not supported on the object.')
      task.cancelled = true
      task.stop.abort()
    },
    end: (id) => tasks.get(id)?.stop.abort(),
    close: async () => {
      for (const task of running.keys()) task.stop.abort()
      await Promise.all(running.values())
    },
  }
}

function newTask(own: Ref, { plan, nowMs }: { readonly plan: TaskPlan; readonly nowMs: number }): Task {
  return {
    ref: own,
    plan,
    queuedMs: nowMs,
    stop: new AbortController(),
    state: 'queued',
    startedMs: null,
    endedMs: null,
    progress: 0,
    cancelled: false,
    cancelable: true,
    result: null,
    fault: null,
  }
}

type Around = { readonly clock: Clock; readonly forgetIt: () => void }

async function carryOut(task: Task, around: Around): Promise<void> {
  const { clock } = around
  const { plan } = task
  const { mishap } = plan
  const durationMs = mishap?.kind === 'task-slow' ? mishap.durationMs : plan.durationMs
  const pause = (part: number) => clock.sleep(durationMs * part, { signal: task.stop.signal })
  try {
    await pause(0.05)
    task.state = 'running'
    task.startedMs = clock.nowMs()
    task.progress = 10
    await pause(0.45)
    if (mishap?.kind === 'task-fault') throw new SimFault(mishap.fault, mishap.message)
    if (mishap?.kind === 'task-vanish' || mishap?.kind === 'task-timeout') return await workUnseen(task, around)
    if (mishap?.kind === 'task-hang' && !mishap.work) {
      await hang(task, { clock, ms: mishap.ms })
      throw new SimFault('Timedout', 'Operation timed out.')
    }
    const isIdle = mishap?.kind === 'task-idle'
    task.result = isIdle ? null : await plan.work({ signal: task.stop.signal })
    task.cancelable = false
    task.progress = 60
    if (mishap?.kind === 'task-hang') await hang(task, { clock, ms: mishap.ms })
    await pause(0.5)
    if (mishap?.kind === 'task-fault-after') throw new SimFault(mishap.fault, mishap.message)
    task.state = 'success'
  } catch (error) {
    const canceled = isAbort(error) && task.stop.signal.aborted
    task.fault = canceled ? new SimFault('RequestCanceled', 'The task was canceled by a user.') : asFault(error)
    task.result = null
    task.state = 'error'
  }
  task.cancelable = false
  task.endedMs = clock.nowMs()
}

const LONG_MS = 60_000

async function hang(
  { stop }: Task,
  { clock, ms }: { readonly clock: Clock; readonly ms: number | null },
): Promise<void> {
  if (ms !== null) return clock.sleep(ms, { signal: stop.signal })
  for (;;) await clock.sleep(LONG_MS, { signal: stop.signal })
}

/** The caller hears of a failure, or of nothing; the work is done later all the same, and nobody hears how that ended. */
async function workUnseen(task: Task, { clock, forgetIt }: Around): Promise<void> {
  const { plan, stop } = task
  const { mishap } = plan
  if (mishap?.kind === 'task-vanish') forgetIt()
  task.fault = new SimFault('Timedout', 'Operation timed out.')
  task.state = 'error'
  task.cancelable = false
  task.endedMs = clock.nowMs()
  const workMs = mishap?.kind === 'task-vanish' || mishap?.kind === 'task-timeout' ? mishap.workMs : 0
  try {
    if (workMs > 0) await clock.sleep(workMs, { signal: stop.signal })
    await plan.work({ signal: stop.signal })
  } catch (error) {
    if (!isAbort(error) && !(error instanceof SimFault)) throw error
  }
}

function taskState(task: Task): Data {
  const { plan } = task
  return data('TaskInfo', {
    key: task.ref.id,
    task: task.ref,
    name: plan.name,
    descriptionId: plan.descriptionId,
    entity: plan.entity,
    entityName: plan.entityName,
    state: task.state,
    cancelled: task.cancelled,
    cancelable: task.cancelable,
    error: task.fault === null ? null : faultWithMessage(task.fault),
    result: task.state === 'success' ? task.result : null,
    progress: task.state === 'running' ? task.progress : null,
    reason: data('TaskReasonUser', { userName: plan.userName }),
    queueTime: new Date(task.queuedMs),
    startTime: task.startedMs === null ? null : new Date(task.startedMs),
    completeTime: task.endedMs === null ? null : new Date(task.endedMs),
    eventChainId: task.queuedMs % 100_000,
  })
}
