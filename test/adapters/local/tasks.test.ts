import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { State } from '../../../lib/adapters/local/state.ts'
import { type ChildTasks, childTasks } from '../../../lib/adapters/local/tasks.ts'
import { memoryLog } from '../../../lib/adapters/memory/log.ts'
import { processStart } from '../../../lib/base/process-identity.ts'
import { tasksContract } from '../../contract/tasks.ts'
import { openStateAt, temporaryFolder, temporaryState } from '../../kit/local-state.ts'
import { startProgram, until } from '../../kit/programs.ts'
import { sampleJob } from '../../kit/record-samples.ts'

const cancel = { signal: new AbortController().signal }
const mover = join(import.meta.dirname, 'programs', 'mover.ts')
const request = (clientToken: string) => ({
  work: { kind: 'move' as const, jobId: sampleJob().id, attempt: 3 },
  clientToken,
  placement: 0,
})

function tasksOf(
  state: State,
  options: { readonly folder: string; readonly mode: string; readonly file?: string },
): ChildTasks {
  return childTasks(state, {
    command: { file: options.file ?? process.execPath, args: [mover, options.mode] },
    environment: process.env,
    logFolder: join(options.folder, 'movers'),
    runningMax: 2,
    stopMs: 5000,
    log: memoryLog(),
  })
}

tasksContract('child processes', async () => {
  const opened = await temporaryState()
  const waiting = tasksOf(opened.state, { folder: opened.folder, mode: 'wait' })
  const failing = tasksOf(opened.state, { folder: opened.folder, mode: 'exit=1' })
  return {
    waiting,
    failing,
    async [Symbol.asyncDispose]() {
      await waiting[Symbol.asyncDispose]()
      await failing[Symbol.asyncDispose]()
      await opened[Symbol.asyncDispose]()
    },
  }
})

describe('movers as child processes', () => {
  it('are told job and attempt, and write to a file of their own', async () => {
    await using opened = await temporaryState()
    await using tasks = tasksOf(opened.state, { folder: opened.folder, mode: 'exit=7' })
    const { taskId } = await tasks.start(request('a'), cancel)
    await until(async () => (await tasks.describe(taskId, cancel)).kind === 'stopped')

    expect(await tasks.describe(taskId, cancel)).toEqual({ kind: 'stopped', exitCode: 7, reason: 'exit code 7' })
    const output = await readFile(join(opened.folder, 'movers', `${taskId}.log`), 'utf8')
    expect(output).toBe(`move --job ${sampleJob().id} --attempt 3\n`)
  })

  it('wait for a place when as many run as may', async () => {
    await using opened = await temporaryState()
    await using tasks = tasksOf(opened.state, { folder: opened.folder, mode: 'wait' })
    await tasks.start(request('a'), cancel)
    const second = await tasks.start(request('b'), cancel)

    await expect(tasks.start(request('c'), cancel)).rejects.toMatchObject({ code: 'no-capacity', retry: 'later' })
    await tasks.stop(second.taskId, cancel)
    await until(async () => (await tasks.describe(second.taskId, cancel)).kind === 'stopped')
    await tasks.start(request('c'), cancel)
  })

  it('end with their engine when it is killed, and a later engine knows', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'state.db')
    const program = join(import.meta.dirname, 'programs', 'engine-with-mover.ts')
    await using engine = startProgram(program, [path, join(folder.path, 'movers'), mover])
    const started: unknown = JSON.parse((await engine.line()) ?? '')
    const { taskId, pid } = started as { taskId: string; pid: number }
    using state = await openStateAt(path)
    await using tasks = tasksOf(state, { folder: folder.path, mode: 'wait' })
    expect(processStart(pid)).not.toBe(null)
    expect(await tasks.describe(taskId, cancel)).toEqual({ kind: 'running' })

    await engine.kill('SIGKILL')
    await until(() => processStart(pid) === null)
    expect(await tasks.describe(taskId, cancel)).toMatchObject({ kind: 'stopped', exitCode: null })
  })

  it('are not taken for a later process of the same pid', async () => {
    await using opened = await temporaryState()
    await using tasks = tasksOf(opened.state, { folder: opened.folder, mode: 'wait' })
    opened.state.write((sql) =>
      sql(`INSERT INTO tasks VALUES ('mover-old', '1', ?, 'another boot/1', NULL, 0, '')`).run(process.pid),
    )

    expect((await tasks.describe('mover-old', cancel)).kind).toBe('stopped')
    await tasks.stop('mover-old', cancel)
  })

  it('are started again when the engine ended while starting them', async () => {
    await using opened = await temporaryState()
    await using tasks = tasksOf(opened.state, { folder: opened.folder, mode: 'wait' })
    const { taskId } = await tasks.start(request('a'), cancel)
    await tasks.stop(taskId, cancel)
    await until(async () => (await tasks.describe(taskId, cancel)).kind === 'stopped')
    opened.state.write((sql) => sql('UPDATE tasks SET pid = NULL, started = NULL, ended = 0, exit_code = NULL').run())
    expect((await tasks.describe(taskId, cancel)).kind).toBe('stopped')

    expect(await tasks.start(request('a'), cancel)).toEqual({ taskId })
    expect(await tasks.describe(taskId, cancel)).toEqual({ kind: 'running' })
  })

  it('that cannot be started are an error that may pass', async () => {
    await using opened = await temporaryState()
    await using tasks = tasksOf(opened.state, { folder: opened.folder, mode: 'wait', file: '/nowhere/node' })

    await expect(tasks.start(request('a'), cancel)).rejects.toMatchObject({
      code: 'task-start-failed',
      retry: 'later',
    })
  })
})
