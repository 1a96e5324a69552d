// Tasks that are functions of this process: a mover without a process of its own; for tests.

import { createHash } from 'node:crypto'
import { messageOf } from '../../base/errors.ts'
import { type Cancel, isAbort } from '../../base/time-limit.ts'
import type { MoverRequest, TaskState, Tasks } from '../../ports/tasks.ts'

/** What a started mover does; its end is the task's end. */
export type MoverProgram = (request: MoverRequest, cancel: Cancel) => Promise<void>

export type MemoryTasks = Tasks & {
  /** Resolves when no task runs. */
  settled(): Promise<void>
}

export function memoryTasks(program: MoverProgram): MemoryTasks {
  const tasks = new Map<string, { state: TaskState; readonly stop: AbortController; readonly ended: Promise<void> }>()
  return {
    async startMover(request, { signal }) {
      signal.throwIfAborted()
      const taskId = `task-${createHash('sha256').update(request.clientToken).digest('hex').slice(0, 16)}`
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
