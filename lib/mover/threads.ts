// Region workers in threads of their own. Shared nothing: a thread opens its own disks, packs and uploads from plain data;
// only regions, their results and progress cross, and the one table of chunks that lies in shared memory.

import type { MessagePort } from 'node:worker_threads'
import { assert } from '../base/errors.ts'
import { openThread, serveThread } from '../base/threads.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { RegionDone, RegionWorker, WorkerDone, WorkerPlan } from './region-worker.ts'
import type { Region } from './regions.ts'

/** What a thread's entry file finds in its workerData; `task` is the program's own, and plain data. */
export type RegionThreadData<Task> = { readonly plan: WorkerPlan; readonly task: Task }

export type RegionThread<Task> = {
  /** The program's worker entry, a module that calls serveRegions(). */
  readonly entry: URL
  readonly data: RegionThreadData<Task>
  readonly report: (diskKey: number, doneBytes: number) => void
}

type Question = { readonly kind: 'store'; readonly region: Region } | { readonly kind: 'finish' }
type Answer =
  | { readonly kind: 'stored'; readonly done: RegionDone }
  | { readonly kind: 'finished'; readonly done: WorkerDone }
type Progress = { readonly diskKey: number; readonly doneBytes: number }

/** @throws what opening the disks threw in the thread */
export async function openRegionThread<Task>(request: RegionThread<Task>, cancel: Cancel): Promise<RegionWorker> {
  const { entry, data, report } = request
  const onNote = ({ diskKey, doneBytes }: Progress) => report(diskKey, doneBytes)
  const thread = await openThread<Question, Answer, Progress>({ entry, data, onNote }, cancel)
  return {
    store: async (region, inner) => {
      const answer = await thread.ask({ kind: 'store', region }, inner)
      assert(answer.kind === 'stored', 'a region is answered by its result')
      return answer.done
    },
    finish: async (inner) => {
      const answer = await thread.ask({ kind: 'finish' }, inner)
      assert(answer.kind === 'finished', 'a finish is answered by what was stored')
      return answer.done
    },
    [Symbol.asyncDispose]: () => thread[Symbol.asyncDispose](),
  }
}

/** The thread's side. @param open opens the region worker; `report` sends progress */
export function serveRegions(
  port: MessagePort,
  open: (report: (diskKey: number, doneBytes: number) => void, cancel: Cancel) => Promise<RegionWorker>,
): Promise<void> {
  return serveThread<Question, Answer, Progress>(port, async (note, cancel) => {
    const worker = await open((diskKey, doneBytes) => note({ diskKey, doneBytes }), cancel)
    return {
      answer: async (question, inner) => ({ answer: await answerOf(worker, question, inner), transfer: [] }),
      [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
    }
  })
}

async function answerOf(worker: RegionWorker, question: Question, cancel: Cancel): Promise<Answer> {
  if (question.kind === 'store') return { kind: 'stored', done: await worker.store(question.region, cancel) }
  return { kind: 'finished', done: await worker.finish(cancel) }
}
