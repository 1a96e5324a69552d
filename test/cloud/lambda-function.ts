// One Lambda function of the stack: instances are processes that are started when none is free, kept while they work well, and killed at
// the function's time limit.

import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Answer, Invocation } from './lambda-runtime.ts'
import type { Json } from './template.ts'
import type { VirtualTime } from './virtual-time.ts'

export type FunctionDescription = {
  /** Short, for example "plan". */
  readonly name: string
  readonly functionName: string
  readonly arn: string
  readonly taskRoot: string
  readonly handler: string
  readonly timeoutMs: number
  readonly memoryMb: number
  readonly environment: Readonly<Record<string, string>>
}

export type InvokeResult =
  | { readonly kind: 'ok'; readonly payload: Json }
  /** FunctionError: it threw, ended its process, or took too long. */
  | { readonly kind: 'error'; readonly errorType: string; readonly errorMessage: string }

export type FunctionCounts = {
  invocations: number
  errors: number
  timeouts: number
  deaths: number
  coldStarts: number
}

export type FunctionSurroundings = {
  readonly time: VirtualTime
  /** Where logs go: a file a function. */
  readonly logFolder: string
  /** Opens what one instance reaches AWS through. */
  readonly openWay: (owner: { readonly name: string; readonly kill: () => void }) => Promise<InstanceWay>
}

/** Endpoints and credentials of one instance. */
export type InstanceWay = {
  readonly variables: Readonly<Record<string, string>>
  /** Changes what the template's environment says of addresses. */
  readonly rewrite: (value: string) => string
  readonly close: () => void
}

/** Lambda keeps these names for itself: a stack that sets one is refused. */
const RESERVED =
  /^(_HANDLER|_X_AMZN_TRACE_ID|AWS_DEFAULT_REGION|AWS_REGION|AWS_EXECUTION_ENV|AWS_LAMBDA_.*|AWS_ACCESS_KEY(_ID)?|AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|LAMBDA_TASK_ROOT|LAMBDA_RUNTIME_DIR)$/
const ENVIRONMENT_BYTES_MAX = 4096
/** Responses and events of synchronous calls; events of asynchronous ones are at most 1 MB now and were 256 KB. */
const PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
const INIT_LIMIT_MS = 20_000

/** @throws Error when Lambda would refuse to make such a function */
export function checkFunction({ functionName, environment, timeoutMs, memoryMb }: FunctionDescription): void {
  const reserved = Object.keys(environment).filter((name) => RESERVED.test(name))
  if (reserved.length > 0) throw new Error(`Function "${functionName}" sets "${reserved.join('", "')}", Lambda's own`)
  const bytes = Buffer.byteLength(JSON.stringify(environment))
  if (bytes > ENVIRONMENT_BYTES_MAX)
    throw new Error(`Function "${functionName}" has an environment of ${bytes} bytes, at most ${ENVIRONMENT_BYTES_MAX}`)
  if (!(timeoutMs >= 1000 && timeoutMs <= 900_000))
    throw new Error(`Function "${functionName}" may run ${timeoutMs} ms`)
  if (!(memoryMb >= 128 && memoryMb <= 10_240)) throw new Error(`Function "${functionName}" has ${memoryMb} MB`)
}

export class LambdaFunction implements AsyncDisposable {
  readonly counts: FunctionCounts = { invocations: 0, errors: 0, timeouts: 0, deaths: 0, coldStarts: 0 }
  readonly #free: Instance[] = []
  readonly #all = new Set<Instance>()
  #isClosed = false
  readonly description: FunctionDescription
  readonly #around: FunctionSurroundings

  constructor(description: FunctionDescription, around: FunctionSurroundings) {
    checkFunction(description)
    this.description = description
    this.#around = around
  }

  /** Never throws: what goes wrong is a function error. */
  async invoke(event: Json): Promise<InvokeResult> {
    this.counts.invocations++
    const found = await this.#invoke(event)
    if (found.kind === 'error') this.counts.errors++
    return found
  }

  /** Ends the instances that nobody uses: the next invocation starts cold. */
  async coolDown(): Promise<void> {
    await Promise.all(this.#free.splice(0).map((instance) => instance.end()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#all].map((instance) => instance.end()))
  }

  async #invoke(event: Json): Promise<InvokeResult> {
    const size = Buffer.byteLength(JSON.stringify(event))
    if (size > PAYLOAD_BYTES_MAX) return failed('RequestTooLarge', `The event has ${size} bytes`)
    if (this.#isClosed) return failed('Closed', 'The cloud has ended')
    const instance = this.#free.pop() ?? (await this.#start())
    const found = await instance.handle(event)
    switch (found.kind) {
      case 'timeout':
        this.counts.timeouts++
        return failed('Sandbox.Timedout', `Task timed out after ${this.description.timeoutMs / 1000} seconds`)
      case 'death':
        this.counts.deaths++
        return failed('Runtime.ExitError', `Runtime exited without providing a reason`)
      case 'init-error':
        return failed(found.errorType, found.errorMessage)
      case 'error':
        this.#free.push(instance)
        return failed(found.errorType, found.errorMessage)
      case 'result': {
        this.#free.push(instance)
        const length = Buffer.byteLength(found.json ?? '')
        if (length > PAYLOAD_BYTES_MAX)
          return failed('Function.ResponseSizeTooLarge', `The response has ${length} bytes`)
        return { kind: 'ok', payload: found.json === undefined ? null : JSON.parse(found.json) }
      }
    }
  }

  async #start(): Promise<Instance> {
    this.counts.coldStarts++
    const instance = await Instance.start(this.description, this.#around, () => this.#all.delete(instance))
    this.#all.add(instance)
    if (this.#isClosed) await instance.end()
    return instance
  }
}

type Handled =
  | Exclude<Answer, { kind: 'loaded' }>
  | { readonly kind: 'timeout' }
  | { readonly kind: 'death' }
  | { readonly kind: 'init-error'; readonly errorType: string; readonly errorMessage: string }

function failed(errorType: string, errorMessage: string): InvokeResult {
  return { kind: 'error', errorType, errorMessage }
}

class Instance {
  readonly #child: ChildProcess
  readonly #description: FunctionDescription
  readonly #time: VirtualTime
  readonly #exited: Promise<void>
  #loading: Promise<Handled | null>

  private constructor(child: ChildProcess, description: FunctionDescription, time: VirtualTime, exited: Promise<void>) {
    this.#child = child
    this.#description = description
    this.#time = time
    this.#exited = exited
    this.#loading = this.#load()
  }

  static async start(
    description: FunctionDescription,
    { time, openWay, logFolder }: FunctionSurroundings,
    onEnd: () => void,
  ): Promise<Instance> {
    let child: ChildProcess | null = null
    let isKilled = false
    const kill = () => {
      isKilled = true
      child?.kill('SIGKILL')
    }
    const way = await openWay({ name: description.name, kill })
    child = fork(join(import.meta.dirname, 'lambda-runtime.ts'), [], {
      cwd: description.taskRoot,
      env: environmentOf(description, way, time),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: [],
      serialization: 'json',
    })
    child.on('error', (error) => appendFileSync(join(logFolder, 'host.log'), `${description.name}: ${error.message}\n`))
    if (isKilled) child.kill('SIGKILL')
    const file = join(logFolder, `${description.name}.log`)
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => appendFileSync(file, text))
    }
    const exited = new Promise<void>((resolve) => {
      child.once('close', () => {
        way.close()
        onEnd()
        resolve()
      })
    })
    return new Instance(child, description, time, exited)
  }

  async handle(event: Json): Promise<Handled> {
    const notLoaded = await this.#loading
    if (notLoaded !== null) return notLoaded
    const { timeoutMs } = this.#description
    const invocation: Invocation = {
      ...{ event, requestId: randomUUID(), deadlineMs: this.#time.nowMs() + timeoutMs },
      aheadMs: this.#time.aheadMs(),
    }
    const answered = this.#answer(timeoutMs)
    this.#child.send(invocation, () => undefined)
    return this.#orKill(await answered)
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  async #load(): Promise<Handled | null> {
    const first = await this.#answer(INIT_LIMIT_MS)
    if (first.kind === 'loaded') return null
    const { kind } = await this.#orKill(first)
    if (first.kind === 'error')
      return { kind: 'init-error', errorType: first.errorType, errorMessage: first.errorMessage }
    return kind === 'timeout' ? { kind: 'timeout' } : { kind: 'death' }
  }

  /** What did not answer in time is killed before anybody hears of it. */
  async #orKill(found: Answer | { kind: 'timeout' } | { kind: 'death' }): Promise<Handled> {
    if (found.kind === 'timeout' || found.kind === 'loaded') {
      await this.end()
      return { kind: 'timeout' }
    }
    return found
  }

  #answer(limitMs: number): Promise<Answer | { kind: 'timeout' } | { kind: 'death' }> {
    return new Promise((resolve) => {
      const done = (found: Answer | { kind: 'timeout' } | { kind: 'death' }) => {
        clearTimeout(timer)
        this.#child.off('message', done)
        resolve(found)
      }
      const timer = setTimeout(() => done({ kind: 'timeout' }), limitMs)
      this.#child.on('message', done)
      void this.#exited.then(() => done({ kind: 'death' }))
    })
  }
}

function environmentOf(description: FunctionDescription, way: InstanceWay, time: VirtualTime): Record<string, string> {
  const { functionName, handler, taskRoot, memoryMb, environment, arn } = description
  const own = Object.entries(environment).map(([name, value]) => [name, way.rewrite(value)] as const)
  return {
    ...Object.fromEntries(own),
    ...way.variables,
    TZ: ':UTC',
    LANG: 'en_US.UTF-8',
    PATH: '/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin',
    _HANDLER: handler,
    LAMBDA_TASK_ROOT: taskRoot,
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
    AWS_LAMBDA_FUNCTION_NAME: functionName,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memoryMb),
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${functionName}`,
    AWS_LAMBDA_LOG_STREAM_NAME: `2026/01/01/[$LATEST]${randomUUID().replaceAll('-', '')}`,
    // Lambda has nothing of the kind; it halves what a cold start costs here.
    NODE_COMPILE_CACHE: join(taskRoot, '..', 'code'),
    COLDFRAME_TEST_FUNCTION_ARN: arn,
    COLDFRAME_TEST_AHEAD_MS: String(time.aheadMs()),
  }
}
