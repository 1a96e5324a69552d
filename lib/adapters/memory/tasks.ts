// Tasks that are functions of this process: a mover without a process of its own; for tests.

import { createHash } from 'node:crypto'
import { assert, messageOf } from '../../base/errors.ts'
import { type Cancel, isAbort } from '../../base/time-limit.ts'
import type { TaskRequest, TaskState, Tasks } from '../../ports/tasks.ts'

/** What a started task does; its end is the task's end. */
export type TaskProgram = (request: TaskRequest, cancel: Cancel) => Promise<void>

export type MemoryTasks = Tasks & {
  /** Resolves when no task runs. */
  settled(): Promise<void>
}

/** A mover's work and the token of its start, which tells it from every other. */
export type MoverRequest = Omit<Extract<TaskRequest['work'], { kind: 'move' }>, 'kind'> &
  Pick<TaskRequest, 'clientToken'>

/** Tasks of which only movers can be run. */
export function memoryMovers(program: (request: MoverRequest, cancel: Cancel) => Promise<void>): MemoryTasks {
  return memoryTasks(async ({ work, clientToken }, cancel) => {
    assert(work.kind === 'move', 'only movers run here')
    const { jobId, attempt } = work
    await program({ jobId, attempt, clientToken }, cancel)
  })
}

export function memoryTasks(program: TaskProgram): MemoryTasks {
  const tasks = new Map<string, { state: TaskState; readonly stop: AbortController; readonly ended: Promise<void> }>()
  return {
    placements: 1,
    async start(request: TaskRequest, { signal }) {
      signal.throwIfAborted()
      const taskId = taskIdOf(request)
      if (tasks.has(taskId)) return { taskId }
      const stop = new AbortController()
      const set = (state: TaskState): void => {
        const task = tasks.get(taskId)
        if (task !== undefined) task.state = state
      }
      // Started by a timer, so that whoever asked has the id before anything happens.
      const ended = new Promise((resolve) => setImmediate(resolve))
        .then(() => {
          stop.signal.throwIfAborted()
          return program(request, { signal: stop.signal })
        })
        .then(
          () => set({ kind: 'stopped', exitCode: 0, reason: 'ended' }),
          (error: unknown) => set({ kind: 'stopped', exitCode: isAbort(error) ? null : 1, reason: messageOf(error) }),
        )
      tasks.set(taskId, { state: { kind: 'running' }, stop, ended })
      return { taskId }
    },
    async find(request, { signal }) {
      signal.throwIfAborted()
      const taskId = taskIdOf(request)
      return tasks.has(taskId) ? taskId : null
    },
    async describe(taskId, { signal }) {
      signal.throwIfAborted()
      return tasks.get(taskId)?.state ?? { kind: 'unknown' }
    },
    async stop(taskId, { signal }) {
      signal.throwIfAborted()
      tasks.get(taskId)?.stop.abort()
    },
    async settled() {
      await Promise.all([...tasks.values()].map(({ ended }) => ended))
    },
  }
}

function taskIdOf({ clientToken }: TaskRequest): string {
  return `task-${createHash('sha256').update(clientToken).digest('hex').slice(0, 16)}`
}
