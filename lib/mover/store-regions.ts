// Hands regions to workers and their leaves, in order, to the maps; the first failure stops everybody.

import { assert } from '../base/errors.ts'
import { anySignal, type Cancel, isAbort } from '../base/time-limit.ts'
import type { DiskAccess } from '../ports/disk.ts'
import type { LeafStream } from './leaf-stream.ts'
import type { RegionDone, RegionWorker } from './region-worker.ts'
import type { Region } from './regions.ts'

/** A disk's regions, and where its leaves go. */
export type DiskFlow = {
  readonly diskKey: number
  readonly access: DiskAccess
  readonly regions: Iterable<Region>
  readonly leaves: LeafStream
}

export type StoreOptions = {
  readonly workers: readonly RegionWorker[]
  readonly onDone: (done: RegionDone) => void
}

type Task = { readonly flow: DiskFlow; readonly order: number; readonly region: Region }

/**
 * Every region by one worker; a worker takes the next when it has done one. Disks that come as streams are all the first
 * worker's: one after the other, each from its start to its end; then it helps with the rest.
 * @throws AggregateError when several disks failed by themselves before all had stopped, else the one error
 */
export async function storeRegions(flows: readonly DiskFlow[], options: StoreOptions, cancel: Cancel): Promise<void> {
  const stop = new AbortController()
  const signal = anySignal([cancel.signal, stop.signal])
  const failures = new Map<number, unknown>()
  const streams = tasksOf(flows.filter(({ access }) => access === 'sequential'))
  const shared = tasksOf(flows.filter(({ access }) => access === 'random'))
  const work = async (worker: RegionWorker, tasks: Generator<Task, void>): Promise<void> => {
    for (let next = tasks.next(); next.done !== true && !signal.aborted; next = tasks.next()) {
      const { flow, order, region } = next.value
      try {
        const done = await worker.store(region, { signal })
        flow.leaves.put(order, done.leaves)
        options.onDone(done)
      } catch (error) {
        // What was stopped because another failed is no failure of its own.
        const stopped = signal.aborted && (error === signal.reason || isAbort(error))
        if (!stopped && !failures.has(region.diskKey)) failures.set(region.diskKey, error)
        stop.abort(error)
        return
      }
    }
  }
  assert(options.workers.length > 0, 'there is a worker')
  const ownWork = async (worker: RegionWorker, index: number) => {
    if (index === 0) await work(worker, streams)
    await work(worker, shared)
  }
  await Promise.all(options.workers.map(ownWork))
  cancel.signal.throwIfAborted()
  const errors = [...failures.values()]
  if (errors.length === 1) throw errors[0]
  if (errors.length > 1) throw new AggregateError(errors, `Cannot read ${errors.length} disks`)
}

/** Disk after disk, region after region; a disk's leaves end when its last region was handed out and came back. */
function* tasksOf(flows: readonly DiskFlow[]): Generator<Task, void> {
  for (const flow of flows) {
    let order = 0
    for (const region of flow.regions) yield { flow, order: order++, region }
    flow.leaves.end(order)
  }
}
