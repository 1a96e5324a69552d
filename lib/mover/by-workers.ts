// Hands tasks to workers, each to whoever is free; the first failure stops everybody.

import { assert } from '../base/errors.ts'
import { anySignal, type Cancel, isAbort } from '../base/time-limit.ts'
import type { RegionWorker } from './region-worker.ts'
import type { Region } from './regions.ts'

export type WorkerTasks<Task extends { readonly region: Region }> = {
  readonly workers: readonly RegionWorker[]
  /** What a worker takes its tasks from, one list after the other; several workers may share a list. */
  readonly listsOf: (worker: number) => readonly Iterator<Task, void>[]
  readonly act: (task: Task, worker: RegionWorker, cancel: Cancel) => Promise<void>
}

/** @throws AggregateError when several disks failed by themselves before all had stopped, else the one error */
export async function byWorkers<Task extends { readonly region: Region }>(
  { workers, listsOf, act }: WorkerTasks<Task>,
  cancel: Cancel,
): Promise<void> {
  const stop = new AbortController()
  const signal = anySignal([cancel.signal, stop.signal])
  const failures = new Map<number, unknown>()
  const work = async (worker: RegionWorker, tasks: Iterator<Task, void>): Promise<void> => {
    for (let next = tasks.next(); next.done !== true && !signal.aborted; next = tasks.next()) {
      try {
        await act(next.value, worker, { signal })
      } catch (error) {
        // What was stopped because another failed is no failure of its own.
        const stopped = signal.aborted && (error === signal.reason || isAbort(error))
        const { diskKey } = next.value.region
        if (!stopped && !failures.has(diskKey)) failures.set(diskKey, error)
        stop.abort(error)
        return
      }
    }
  }
  assert(workers.length > 0, 'there is a worker')
  const workAll = async (worker: RegionWorker, index: number) => {
    for (const tasks of listsOf(index)) await work(worker, tasks)
  }
  await Promise.all(workers.map(workAll))
  cancel.signal.throwIfAborted()
  const errors = [...failures.values()]
  if (errors.length === 1) throw errors[0]
  if (errors.length > 1) throw new AggregateError(errors, `Cannot read ${errors.length} disks`)
}
