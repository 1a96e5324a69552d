// Range readers in threads of their own: ranges go in, verified bytes come back by transfer.

import type { MessagePort } from 'node:worker_threads'
import { openThread, serveThread } from '../base/threads.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Extent } from '../model/extent.ts'
import type { DataRun, RangePlan, RangeReader } from './range-reader.ts'

/** What a thread's entry file finds in its workerData; `task` is the program's own, and plain data. */
export type RangeThreadData<Task> = { readonly plan: RangePlan; readonly task: Task }

/** @param request.entry the program's worker entry, a module that calls serveRanges() */
export async function openRangeThread<Task>(
  request: { readonly entry: URL; readonly data: RangeThreadData<Task> },
  cancel: Cancel,
): Promise<RangeReader> {
  const thread = await openThread<Extent, readonly DataRun[], never>({ ...request, onNote: () => undefined }, cancel)
  return {
    read: (range, inner) => thread.ask(range, inner),
    [Symbol.asyncDispose]: () => thread[Symbol.asyncDispose](),
  }
}

export function serveRanges(port: MessagePort, open: () => RangeReader): Promise<void> {
  return serveThread<Extent, readonly DataRun[], never>(port, async () => {
    const reader = open()
    return {
      answer: async (range, cancel) => {
        const answer = await reader.read(range, cancel)
        return { answer, transfer: answer.map(({ bytes }) => bytes.buffer) }
      },
      [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
    }
  })
}
