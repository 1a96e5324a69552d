// Hands regions to workers and their leaves, in order, to the maps.

import type { Cancel } from '../base/time-limit.ts'
import type { DiskAccess } from '../ports/disk.ts'
import { byWorkers } from './by-workers.ts'
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
  const streams = tasksOf(flows.filter(({ access }) => access === 'sequential'))
  const shared = tasksOf(flows.filter(({ access }) => access === 'random'))
  const act = async ({ flow, order, region }: Task, worker: RegionWorker, inner: Cancel) => {
    const done = await worker.store(region, inner)
    flow.leaves.put(order, done.leaves)
    options.onDone(done)
  }
  const listsOf = (index: number) => (index === 0 ? [streams, shared] : [shared])
  await byWorkers({ workers: options.workers, listsOf, act }, cancel)
}

/** Disk after disk, region after region; a disk's leaves end when its last region was handed out and came back. */
function* tasksOf(flows: readonly DiskFlow[]): Generator<Task, void> {
  for (const flow of flows) {
    let order = 0
    for (const region of flow.regions) yield { flow, order: order++, region }
    flow.leaves.end(order)
  }
}
