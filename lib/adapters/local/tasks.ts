// Movers as child processes of the engine, recorded in the state file so that a later engine knows what became of them.

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { BackupError, messageOf } from '../../base/errors.ts'
import { processStart } from '../../base/process-identity.ts'
import { argumentsOf, type TaskWork } from '../../model/task-work.ts'
import type { Log } from '../../ports/log.ts'
import type { TaskRequest, TaskState, Tasks } from '../../ports/tasks.ts'
import type { State } from './state.ts'

export type ChildTasksOptions = {
  /** The Node to run, and what comes before "move --job … --attempt …": the program's path. */
  readonly command: { readonly file: string; readonly args: readonly string[] }
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Where each mover's standard output and error go, one file a task. */
  readonly logFolder: string
  /** How many movers may run at once. */
  readonly runningMax: number
  /** How long a mover may go on after it was asked to stop. */
  readonly stopMs: number
  readonly log: Log
}

/** Disposing asks every running mover to stop and waits until each has ended. */
export type ChildTasks = Tasks &
  AsyncDisposable & {
    /** How many movers of this engine run. */
    running(): number
  }

/**
 * Tasks of this engine. A mover sees the end of its standard input when the engine ends, however it ends
 * (watchParent()), so that no mover outlives its engine for long.
 * @throws nothing here; start() throws `no-capacity`, or `task-start-failed` (retry later)
 */
export function childTasks(state: State, options: ChildTasksOptions): ChildTasks {
  const children = new Map<string, Child>()
  return {
    placements: 1,
    async start(request, { signal }) {
      signal.throwIfAborted()
      const taskId = taskIdOf(request)
      const known = state.read((sql) => sql('SELECT pid, ended FROM tasks WHERE id = ?').get(taskId))
      // A row without a pid is of an engine that ended while starting it: if a child exists, it ends by itself.
      if (known !== undefined && (known['pid'] !== null || known['ended'] === 1)) return { taskId }
      if (children.size >= options.runningMax) {
        throw new BackupError(`Cannot start a mover now: ${children.size} run, at most ${options.runningMax} may`, {
          code: 'no-capacity',
          retry: 'later',
          hint: 'It starts when another one has ended',
        })
      }
      state.write((sql) =>
        sql(
          `INSERT INTO tasks (id, owner, pid, started, exit_code, ended, reason) VALUES (?, ?, NULL, NULL, NULL, 0, '')
           ON CONFLICT (id) DO UPDATE SET owner = excluded.owner`,
        ).run(taskId, String(process.pid)),
      )
      const child = startChild(request.work, { ...options, taskId })
      children.set(taskId, child)
      void child.ended.finally(() => children.delete(taskId))
      child.process.on('exit', (code, endSignal) => recordEnd(state, { taskId, code, endSignal, log: options.log }))
      const pid = child.process.pid
      if (pid !== undefined) {
        state.write((sql) =>
          sql('UPDATE tasks SET pid = ?, started = ? WHERE id = ?').run(pid, processStart(pid), taskId),
        )
      }
      return { taskId }
    },

    async find(request, { signal }) {
      signal.throwIfAborted()
      const taskId = taskIdOf(request)
      return state.read((sql) => sql('SELECT id FROM tasks WHERE id = ?').get(taskId)) === undefined ? null : taskId
    },

    async describe(taskId, { signal }) {
      signal.throwIfAborted()
      const row = state.read((sql) => sql('SELECT * FROM tasks WHERE id = ?').get(taskId))
      return row === undefined ? { kind: 'unknown' } : stateOfRow(row, children.has(taskId))
    },

    async stop(taskId, { signal }) {
      signal.throwIfAborted()
      const own = children.get(taskId)
      if (own !== undefined) return endSoon(own.process, options.stopMs)
      const row = state.read((sql) => sql('SELECT * FROM tasks WHERE id = ?').get(taskId))
      // An earlier engine's: it sees its input end and stops; asking again does no harm.
      if (row !== undefined && stateOfRow(row, false).kind === 'running') process.kill(Number(row['pid']), 'SIGTERM')
    },

    running: () => children.size,

    async [Symbol.asyncDispose]() {
      const running = [...children.values()]
      for (const child of running) endSoon(child.process, options.stopMs)
      await Promise.all(running.map(({ ended }) => ended))
    },
  }
}

type Child = { readonly process: ChildProcess; readonly ended: Promise<void> }

/** The same token is the same task; the engine that asks does not matter. */
function taskIdOf({ clientToken }: TaskRequest): string {
  return `mover-${createHash('sha256').update(clientToken).digest('hex').slice(0, 24)}`
}

function startChild(work: TaskWork, options: ChildTasksOptions & { readonly taskId: string }): Child {
  const { command, environment, logFolder, taskId, log } = options
  mkdirSync(logFolder, { recursive: true, mode: 0o700 })
  const output = openSync(join(logFolder, `${taskId}.log`), 'a', 0o600)
  try {
    const args = [...command.args, ...argumentsOf(work)]
    const child = spawn(command.file, args, { stdio: ['pipe', output, output], env: { ...environment } })
    // Nothing is ever written: the pipe only tells the child that we live.
    child.stdin?.on('error', () => undefined)
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
      child.once('error', (error) => {
        log.error('mover.start-failed', error, { task: taskId })
        if (child.pid === undefined) resolve()
      })
    })
    if (child.pid === undefined) throw startFailed(command.file, 'the program cannot be run')
    return { process: child, ended }
  } catch (error) {
    if (error instanceof BackupError) throw error
    throw startFailed(command.file, messageOf(error), error)
  } finally {
    closeSync(output)
  }
}

function startFailed(file: string, why: string, cause?: unknown): BackupError {
  return new BackupError(`Cannot start a mover with "${file}": ${why}`, {
    code: 'task-start-failed',
    retry: 'later',
    hint: 'Look at the memory and the process limit of this machine',
    facts: { file },
    ...(cause === undefined ? {} : { cause }),
  })
}

type End = {
  readonly taskId: string
  readonly code: number | null
  readonly endSignal: NodeJS.Signals | null
  readonly log: Log
}

function recordEnd(state: State, { taskId, code, endSignal, log }: End): void {
  const reason = endSignal === null ? `exit code ${code}` : `killed by ${endSignal}`
  try {
    state.write((sql) =>
      sql('UPDATE tasks SET ended = 1, exit_code = ?, reason = ? WHERE id = ?').run(code, reason, taskId),
    )
  } catch (error) {
    // describe() finds the process gone all the same.
    log.error('mover.end-unrecorded', error, { task: taskId, reason })
  }
}

function stateOfRow(row: Record<string, unknown>, isOwn: boolean): TaskState {
  const { pid, started, ended, exit_code: code, reason } = row
  if (ended === 1) return { kind: 'stopped', exitCode: typeof code === 'number' ? code : null, reason: String(reason) }
  if (isOwn) return { kind: 'running' }
  if (typeof pid !== 'number' || typeof started !== 'string') {
    return { kind: 'stopped', exitCode: null, reason: 'the engine ended while starting it' }
  }
  return processStart(pid) === started
    ? { kind: 'running' }
    : { kind: 'stopped', exitCode: null, reason: 'its process is gone and nobody saw how it ended' }
}

function endSoon(child: ChildProcess, stopMs: number): void {
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), stopMs)
  child.once('exit', () => clearTimeout(force))
}
