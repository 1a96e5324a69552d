// Region workers in threads of their own. Shared nothing: a thread opens its own disks, packs and uploads from plain data;
// only regions, their results and progress cross, and the one table of chunks that lies in shared memory.

import type { MessagePort } from 'node:worker_threads'
import { MiB } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import { openThread, serveThread } from '../base/threads.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { AuditDone } from './audit-region.ts'
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

type Question =
  | { readonly kind: 'audit'; readonly region: Region }
  | { readonly kind: 'store'; readonly region: Region }
  | { readonly kind: 'finish' }
type Answer =
  | { readonly kind: 'audited'; readonly done: AuditDone }
  | { readonly kind: 'stored'; readonly done: RegionDone }
  | { readonly kind: 'finished'; readonly done: WorkerDone }
type Progress = { readonly diskKey: number; readonly doneBytes: number }

/** @throws what opening the disks threw in the thread */
export async function openRegionThread<Task>(request: RegionThread<Task>, cancel: Cancel): Promise<RegionWorker> {
  const { entry, data, report } = request
  const onNote = ({ diskKey, doneBytes }: Progress) => report(diskKey, doneBytes)
  const thread = await openThread<Question, Answer, Progress>({ entry, data, onNote }, cancel)
  return {
    audit: async (region, inner) => {
      const answer = await thread.ask({ kind: 'audit', region }, inner)
      assert(answer.kind === 'audited', 'an audit is answered by what it found')
      return answer.done
    },
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

/** A note wakes the other thread: progress is told when so much has come together, and with every answer. */
const NOTE_BYTES = 16 * MiB

/** The thread's side. @param open opens the region worker; `report` sends progress */
export function serveRegions(
  port: MessagePort,
  open: (report: (diskKey: number, doneBytes: number) => void, cancel: Cancel) => Promise<RegionWorker>,
): Promise<void> {
  return serveThread<Question, Answer, Progress>(port, async (note, cancel) => {
    const untold = new Map<number, number>()
    const tell = (bytesMin: number) => {
      for (const [diskKey, doneBytes] of untold) {
        if (doneBytes < bytesMin) continue
        note({ diskKey, doneBytes })
        untold.delete(diskKey)
      }
    }
    const report = (diskKey: number, doneBytes: number) => {
      untold.set(diskKey, (untold.get(diskKey) ?? 0) + doneBytes)
      tell(NOTE_BYTES)
    }
    const worker = await open(report, cancel)
    return {
      answer: async (question, inner) => {
        const answer = await answerOf(worker, question, inner)
        tell(0)
        return { answer, transfer: [] }
      },
      [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
    }
  })
}

async function answerOf(worker: RegionWorker, question: Question, cancel: Cancel): Promise<Answer> {
  if (question.kind === 'audit') return { kind: 'audited', done: await worker.audit(question.region, cancel) }
  if (question.kind === 'store') return { kind: 'stored', done: await worker.store(question.region, cancel) }
  return { kind: 'finished', done: await worker.finish(cancel) }
}
