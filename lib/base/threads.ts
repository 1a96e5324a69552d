// Questions to worker threads and their answers, errors whole. Small messages only: bytes are transferred, never copied.

import { type MessagePort, Worker } from 'node:worker_threads'
import { BackupError } from './errors.ts'
import { errorOfPlain, type PlainError, plainErrorOf } from './plain-error.ts'
import type { Cancel } from './time-limit.ts'

/** A thread of this process. Disposing tells it to stop, then ends it. */
export interface Thread<Question, Answer> extends AsyncDisposable {
  /** Questions may be asked side by side. @throws what answering threw there; BackupError `worker-lost` */
  ask(question: Question, cancel: Cancel): Promise<Answer>
}

export type ThreadOptions<Note> = {
  /** A module that calls serveThread(). */
  readonly entry: URL
  /** Its workerData: structured clone carries it. */
  readonly data: unknown
  readonly onNote: (note: Note) => void
}

/** What a thread answers by; disposed when the thread is told to stop. */
export interface Answerer<Question, Answer> extends AsyncDisposable {
  answer(
    question: Question,
    cancel: Cancel,
  ): Promise<{ readonly answer: Answer; readonly transfer: readonly ArrayBuffer[] }>
}

type ToThread<Question> =
  | { readonly kind: 'ask'; readonly id: number; readonly question: Question }
  | { readonly kind: 'stop' }

type FromThread<Answer, Note> =
  | { readonly kind: 'opened' }
  | { readonly kind: 'note'; readonly note: Note }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: Answer }
  /** id 0: the thread could not open. */
  | { readonly kind: 'failed'; readonly id: number; readonly error: PlainError }

const OPENING = 0
/** How long a thread that was told to stop may take before it is ended. */
const STOP_MS = 3_000

/** Starts a thread and waits until it is open. @throws what opening threw there */
export async function openThread<Question, Answer, Note>(
  options: ThreadOptions<Note>,
  cancel: Cancel,
): Promise<Thread<Question, Answer>> {
  cancel.signal.throwIfAborted()
  const thread = new WorkerThread<Question, Answer, Note>(options)
  try {
    await thread.opened(cancel)
    return thread
  } catch (error) {
    await thread[Symbol.asyncDispose]()
    throw error
  }
}

type Waiting<Answer> = { readonly resolve: (answer: Answer | null) => void; readonly reject: (error: unknown) => void }

class WorkerThread<Question, Answer, Note> implements Thread<Question, Answer> {
  readonly #worker: Worker
  readonly #exited: Promise<void>
  readonly #waiting = new Map<number, Waiting<Answer>>()
  #ids = OPENING
  #lost: { readonly error: unknown } | null = null

  constructor({ entry, data, onNote }: ThreadOptions<Note>) {
    this.#worker = new Worker(entry, { workerData: data, execArgv: [] })
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#lose(threadLost(code))
        resolve()
      })
    })
    this.#worker.on('error', (error) => this.#lose(error))
    this.#worker.on('message', (message: FromThread<Answer, Note>) => {
      if (message.kind === 'note') onNote(message.note)
      else this.#receive(message)
    })
  }

  async opened(cancel: Cancel): Promise<void> {
    await this.#wait(OPENING, cancel)
  }

  async ask(question: Question, cancel: Cancel): Promise<Answer> {
    const id = ++this.#ids
    const waiting = this.#wait(id, cancel)
    this.#post({ kind: 'ask', id, question })
    const answer = await waiting
    if (answer === null) throw threadLost(0)
    return answer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#post({ kind: 'stop' })
    const timer = setTimeout(() => void this.#worker.terminate(), STOP_MS)
    await this.#exited
    clearTimeout(timer)
  }

  #post(message: ToThread<Question>): void {
    this.#worker.postMessage(message)
  }

  #wait(id: number, { signal }: Cancel): Promise<Answer | null> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      if (this.#lost !== null) return reject(this.#lost.error)
      const settle = (act: () => void) => {
        signal.removeEventListener('abort', onAbort)
        this.#waiting.delete(id)
        act()
      }
      const onAbort = () => settle(() => reject(signal.reason))
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiting.set(id, {
        resolve: (answer) => settle(() => resolve(answer)),
        reject: (error) => settle(() => reject(error)),
      })
    })
  }

  #receive(message: Exclude<FromThread<Answer, Note>, { kind: 'note' }>): void {
    if (message.kind === 'opened') return this.#waiting.get(OPENING)?.resolve(null)
    if (message.kind === 'answer') return this.#waiting.get(message.id)?.resolve(message.answer)
    const error = errorOfPlain(message.error)
    if (message.id === OPENING) this.#lose(error)
    this.#waiting.get(message.id)?.reject(error)
  }

  /** The first cause counts; whoever waits is told. */
  #lose(error: unknown): void {
    this.#lost ??= { error }
    for (const waiting of [...this.#waiting.values()]) waiting.reject(this.#lost.error)
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
 * The thread's side: answers until it is told to stop.
 * @param open its `note` sends a note; its signal is aborted by the stop
 */
export async function serveThread<Question, Answer, Note>(
  port: MessagePort,
  open: (note: (note: Note) => void, cancel: Cancel) => Promise<Answerer<Question, Answer>>,
): Promise<void> {
  const stop = new AbortController()
  const { signal } = stop
  const send = (message: FromThread<Answer, Note>, transfer: readonly ArrayBuffer[] = []) =>
    port.postMessage(message, transfer)
  const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  const early: ToThread<Question>[] = []
  let receive = (message: ToThread<Question>): void => void early.push(message)
  port.on('message', (message: ToThread<Question>) => {
    if (message.kind === 'stop') stop.abort(new DOMException('The thread was told to stop', 'AbortError'))
    else receive(message)
  })
  try {
    await using answerer = await open((note) => send({ kind: 'note', note }), { signal })

    receive = (message) => {
      if (message.kind === 'stop') return
      const { id, question } = message
      answerer.answer(question, { signal }).then(
        ({ answer, transfer }) => send({ kind: 'answer', id, answer }, transfer),
        (error: unknown) => send({ kind: 'failed', id, error: plainErrorOf(error) }),
      )
    }
    send({ kind: 'opened' })
    for (const message of early) receive(message)
    await stopped
  } catch (error) {
    send({ kind: 'failed', id: OPENING, error: plainErrorOf(error) })
  } finally {
    port.close()
  }
}
