// The range readers of a restore in threads: how a program starts them, and what the worker entry does in one.

import type { MessagePort } from 'node:worker_threads'
import { assert } from '../base/errors.ts'
import { openRangeReader } from '../restore/range-reader.ts'
import type { RangeReaders } from '../restore/restore-disk.ts'
import { openRangeThread, type RangeThreadData, serveRanges } from '../restore/threads.ts'
import { openObjectStore, type StoreSettings } from './object-stores.ts'
import type { Surroundings } from './vsphere-settings.ts'

/** @param entry the program's worker entry, which calls serveRestoreThread() */
export function threadReaders(
  entry: URL,
  task: { readonly store: StoreSettings; readonly count: number },
): RangeReaders {
  const { count, store } = task
  return { count, open: (plan, cancel) => openRangeThread({ entry, data: { plan, task: { store } } }, cancel) }
}

export async function serveRestoreThread(
  port: MessagePort | null,
  { plan, task }: RangeThreadData<{ readonly store: StoreSettings }>,
  around: Surroundings,
): Promise<void> {
  assert(port !== null, 'a worker entry runs in a thread')
  await serveRanges(port, () => openRangeReader(plan, openObjectStore(task.store, around)))
}
