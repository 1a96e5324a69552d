// The mover's region workers in threads: how the program starts one, and what the worker entry does in it.

import { type MessagePort, threadId } from 'node:worker_threads'
import { memoryMeter } from '../adapters/memory/meter.ts'
import { MiB } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { MoverDeps } from '../mover/deps.ts'
import { inProcessWorkers } from '../mover/in-process.ts'
import { openRegionWorker } from '../mover/region-worker.ts'
import { openRegionThread, type RegionThreadData, serveRegions } from '../mover/threads.ts'
import { openObjectStore, type StoreSettings } from './object-stores.ts'
import { openTransports, type TransportSettings } from './transports.ts'
import type { Surroundings } from './vsphere-settings.ts'

/** What a thread builds its own disks and store from: plain data, no secret. */
export type MoverTask = { readonly store: StoreSettings; readonly transports: readonly TransportSettings[] }

/** @param entry the program's worker entry, which calls serveMoverThread() */
export function threadWorkers(entry: URL, task: MoverTask): MoverDeps['openWorker'] {
  return (plan, report, cancel) => openRegionThread({ entry, data: { plan, task }, report }, cancel)
}

/** Less than this is read sooner than a thread starts. */
const SMALL_BYTES = 64 * MiB

/** Threads, but for a small job: it is done in this one. */
export function fittingWorkers(
  entry: URL,
  { task, ...own }: Parameters<typeof inProcessWorkers>[0] & { readonly task: MoverTask },
): MoverDeps['openWorker'] {
  const inThread = threadWorkers(entry, task)
  const inProcess = inProcessWorkers(own)
  return (plan, report, cancel) => (plan.totalBytes <= SMALL_BYTES ? inProcess : inThread)(plan, report, cancel)
}

/** Serves one mover until it says stop. */
export async function serveMoverThread(
  port: MessagePort | null,
  data: RegionThreadData<MoverTask>,
  around: Surroundings,
): Promise<void> {
  assert(port !== null && threadId !== 0, 'a worker entry runs in a thread')
  const { plan, task } = data
  await serveRegions(port, async (report, cancel: Cancel) => {
    const transports = await openTransports(task.transports, around, cancel)
    const meter = memoryMeter({ functionGb: 0 })
    const store = openObjectStore(task.store, around, meter)
    return openRegionWorker(plan, { transports, store, usage: () => meter.total(), random: around.random, report })
  })
}
