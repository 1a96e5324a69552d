// Region workers in threads of their own. Shared nothing: a thread opens its own disks, packs and uploads from plain data;
// only regions, their results and progress cross, and the one table of chunks that lies in shared memory.

import { type MessagePort, Worker } from 'node:worker_threads'
import { assert, BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { errorOfPlain, type PlainError, plainErrorOf } from './plain-error.ts'
import type { RegionDone, RegionWorker, WorkerDone, WorkerPlan } from './region-worker.ts'
import type { Region } from './regions.ts'

/** What a thread's entry file finds in its workerData; `task` is the program's own, and plain data. */
export type ThreadData<Task> = { readonly plan: WorkerPlan; readonly task: Task }

export type ThreadRequest<Task> = {
  /** The program's worker entry, a module that calls serveRegions(). */
  readonly entry: URL
  readonly data: ThreadData<Task>
  readonly onProgress: (diskKey: number, doneBytes: number) => void
}

type ToThread =
  | { readonly kind: 'store'; readonly id: number; readonly region: Region }
  | { readonly kind: 'finish'; readonly id: number }
  | { readonly kind: 'stop' }

type FromThread =
  | { readonly kind: 'stored'; readonly id: number; readonly done: RegionDone }
  | { readonly kind: 'finished'; readonly id: number; readonly done: WorkerDone }
  | { readonly kind: 'opened' }
  | { readonly kind: 'progress'; readonly diskKey: number; readonly doneBytes: number }
  /** id 0: the thread could not open, or is lost. */
  | { readonly kind: 'failed'; readonly id: number; readonly error: PlainError }

const OPENING = 0
/** How long a thread that was told to stop may take before it is ended. */
const STOP_MS = 3_000

type Waiting = { readonly resolve: (message: FromThread) => void; readonly reject: (error: unknown) => void }

/** Starts a thread and waits until it has opened its disks. @throws what opening threw there */
export async function openThread<Task>(request: ThreadRequest<Task>, cancel: Cancel): Promise<RegionWorker> {
  cancel.signal.throwIfAborted()
  const thread = new ThreadWorker(request)
  try {
    await thread.opened(cancel)
    return thread
  } catch (error) {
    await thread[Symbol.asyncDispose]()
    throw error
  }
}

class ThreadWorker implements RegionWorker {
  readonly #worker: Worker
  readonly #exited: Promise<void>
  readonly #waiting = new Map<number, Waiting>()
  #ids = OPENING
  #lost: unknown = null

  constructor({ entry, data, onProgress }: ThreadRequest<unknown>) {
    this.#worker = new Worker(entry, { workerData: data, execArgv: [] })
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#lose(threadLost(code))
        resolve()
      })
    })
    this.#worker.on('error', (error) => this.#lose(error))
    this.#worker.on('message', (message: FromThread) => {
      if (message.kind === 'progress') onProgress(message.diskKey, message.doneBytes)
      else this.#answer(message)
    })
  }

  async opened(cancel: Cancel): Promise<void> {
    await this.#wait(OPENING, cancel)
  }

  async store(region: Region, cancel: Cancel): Promise<RegionDone> {
    const answer = await this.#ask((id) => ({ kind: 'store', id, region }), cancel)
    assert(answer.kind === 'stored', 'a region is answered by its result')
    return answer.done
  }

  async finish(cancel: Cancel): Promise<WorkerDone> {
    const answer = await this.#ask((id) => ({ kind: 'finish', id }), cancel)
    assert(answer.kind === 'finished', 'a finish is answered by what was stored')
    return answer.done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#post({ kind: 'stop' })
    const timer = setTimeout(() => void this.#worker.terminate(), STOP_MS)
    await this.#exited
    clearTimeout(timer)
  }

  #ask(question: (id: number) => ToThread, cancel: Cancel): Promise<FromThread> {
    const id = ++this.#ids
    const answer = this.#wait(id, cancel)
    this.#post(question(id))
    return answer
  }

  #post(message: ToThread): void {
    this.#worker.postMessage(message)
  }

  #wait(id: number, { signal }: Cancel): Promise<FromThread> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      if (this.#lost !== null) return reject(this.#lost)
      const onAbort = () => settle(() => reject(signal.reason))
      const settle = (act: () => void) => {
        signal.removeEventListener('abort', onAbort)
        this.#waiting.delete(id)
        act()
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiting.set(id, {
        resolve: (message) => settle(() => resolve(message)),
        reject: (error) => settle(() => reject(error)),
      })
    })
  }

  #answer(message: Exclude<FromThread, { kind: 'progress' }>): void {
    if (message.kind === 'failed') {
      const error = errorOfPlain(message.error)
      if (message.id === OPENING) this.#lose(error)
      this.#waiting.get(message.id)?.reject(error)
    } else this.#waiting.get(message.kind === 'opened' ? OPENING : message.id)?.resolve(message)
  }

  /** The first cause counts; whoever waits is told. */
  #lose(error: unknown): void {
    this.#lost ??= error
    for (const waiting of [...this.#waiting.values()]) waiting.reject(this.#lost)
  }
}

function threadLost(code: number): BackupError {
  return new BackupError(`Cannot go on: a worker thread ended by itself with code "${code}"`, {
    code: 'worker-lost',
    retry: 'later',
    hint: 'The machine may be short of memory; the next attempt starts again',
    facts: { code },
  })
}

/**
 * The thread's side: answers the port until it is told to stop.
 * @param open opens the region worker; `report` sends progress
 */
export async function serveRegions(
  port: MessagePort,
  open: (report: (diskKey: number, doneBytes: number) => void, cancel: Cancel) => Promise<RegionWorker>,
): Promise<void> {
  const stop = new AbortController()
  const { signal } = stop
  const send = (message: FromThread) => port.postMessage(message)
  const questions: Exclude<ToThread, { kind: 'stop' }>[] = []
  let wake: () => void = () => undefined
  port.on('message', (message: ToThread) => {
    if (message.kind === 'stop') stop.abort(new DOMException('The mover stopped', 'AbortError'))
    else questions.push(message)
    wake()
  })
  try {
    await using worker = await open((diskKey, doneBytes) => send({ kind: 'progress', diskKey, doneBytes }), { signal })

    send({ kind: 'opened' })
    while (!signal.aborted) {
      const question = questions.shift()
      if (question === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      send(await answerTo(worker, question, { signal }))
    }
  } catch (error) {
    send({ kind: 'failed', id: OPENING, error: plainErrorOf(error) })
  } finally {
    port.close()
  }
}

async function answerTo(
  worker: RegionWorker,
  question: Exclude<ToThread, { kind: 'stop' }>,
  cancel: Cancel,
): Promise<FromThread> {
  const { id } = question
  try {
    if (question.kind === 'store') return { kind: 'stored', id, done: await worker.store(question.region, cancel) }
    return { kind: 'finished', id, done: await worker.finish(cancel) }
  } catch (error) {
    return { kind: 'failed', id, error: plainErrorOf(error) }
  }
}
