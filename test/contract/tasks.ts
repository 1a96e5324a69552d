// What every way to run movers keeps. Run on each implementation.

import { describe, expect, it } from 'vitest'
import type { Tasks } from '../../lib/ports/tasks.ts'
import { until } from '../kit/programs.ts'
import { sampleJob } from '../kit/record-samples.ts'

const cancel = { signal: new AbortController().signal }
const request = (clientToken: string) => ({
  work: { kind: 'move' as const, jobId: sampleJob().id, attempt: 1 },
  clientToken,
  placement: 0,
})

export type OpenedTasks = AsyncDisposable & {
  /** Their movers run until they are stopped. */
  readonly waiting: Tasks
  /** Their movers end at once with exit code 1. */
  readonly failing: Tasks
}

export function tasksContract(name: string, open: () => Promise<OpenedTasks>): void {
  describe(`tasks: ${name}`, () => {
    it('start a mover once for one token, and another for another', async () => {
      await using opened = await open()
      const first = await opened.waiting.start(request('a'), cancel)

      expect(await opened.waiting.start(request('a'), cancel)).toEqual(first)
      expect(await opened.waiting.start(request('b'), cancel)).not.toEqual(first)
      expect(await opened.waiting.describe(first.taskId, cancel)).toEqual({ kind: 'running' })
    })

    it('stop a mover when asked to, and stopping it again does no harm', async () => {
      await using opened = await open()
      const { taskId } = await opened.waiting.start(request('a'), cancel)
      await opened.waiting.stop(taskId, cancel)

      await until(async () => (await opened.waiting.describe(taskId, cancel)).kind === 'stopped')
      await opened.waiting.stop(taskId, cancel)
      expect(await opened.waiting.start(request('a'), cancel)).toEqual({ taskId })
      expect((await opened.waiting.describe(taskId, cancel)).kind).toBe('stopped')
    })

    it('tell how a mover ended', async () => {
      await using opened = await open()
      const { taskId } = await opened.failing.start(request('f'), cancel)

      await until(async () => (await opened.failing.describe(taskId, cancel)).kind === 'stopped')
      expect(await opened.failing.describe(taskId, cancel)).toMatchObject({ kind: 'stopped', exitCode: 1 })
    })

    it('find the task of a start by the same words, and none for a start that never was', async () => {
      await using opened = await open()
      const { taskId } = await opened.waiting.start(request('a'), cancel)

      expect(await opened.waiting.find(request('a'), cancel)).toBe(taskId)
      expect(await opened.waiting.find(request('b'), cancel)).toBeNull()
    })

    it('know nothing of a task that nobody started', async () => {
      await using opened = await open()

      expect(await opened.waiting.describe('mover-0', cancel)).toEqual({ kind: 'unknown' })
      await opened.waiting.stop('mover-0', cancel)
    })
  })
}
