// A stack at work on this machine: what a template says, with local peers in place of AWS. It decides nothing of its own: every name,
// limit and wiring is the template's.

import { mkdir } from 'node:fs/promises'
import { TEST_ACCOUNT as ACCOUNT, TEST_REGION as REGION } from '../kit/aws/identity.ts'
import { Agenda } from './agenda.ts'
import { AsyncInvoker } from './async-invoker.ts'
import { CallProxy } from './call-proxy.ts'
import { EventSource } from './event-source.ts'
import { type Authorize, type HttpApi, openHttpApi } from './http-api.ts'
import { LambdaFunction } from './lambda-function.ts'
import { physicalIds } from './physical.ts'
import { openQueues, type Queues } from './queues.ts'
import { isObject, openStack, type Stack, type Surroundings } from './resolve.ts'
import { openTables } from './tables.ts'
import type { Json, JsonObject, Template } from './template.ts'
import { mayInvoke, putEvent, startSchedules, type Targets } from './timers.ts'
import type { VirtualTime } from './virtual-time.ts'

/** Stands in environments for the address of queues, which each process has another way to. */
const QUEUE_BASE = 'http://queues.invalid'
const API_BASE = 'http://api.invalid'

export type CloudOptions = {
  readonly template: Template
  readonly time: VirtualTime
  /** For logs. */
  readonly folder: string
  readonly parameters: Readonly<Record<string, string>>
  readonly imports?: Surroundings['imports']
  readonly dynamic?: Surroundings['dynamic']
  /** Lays out a function's package. @param name short, "plan" */
  readonly taskRootOf: (name: string) => Promise<string>
  /** Peers besides queues and tables, by their names in signatures. */
  readonly openPeers: (stack: Stack) => Promise<Readonly<Record<string, string>>>
  readonly credentials: Readonly<Record<string, string>>
  readonly authorize: Authorize
}

export interface Cloud extends AsyncDisposable {
  readonly stack: Stack
  readonly time: VirtualTime
  readonly queues: Queues
  readonly tables: { readonly address: string }
  readonly proxy: CallProxy
  readonly functions: ReadonlyMap<string, LambdaFunction>
  readonly sources: readonly EventSource[]
  readonly agenda: Agenda
  readonly invoker: AsyncInvoker
  readonly api: HttpApi
  readonly targets: Targets
  /** By its short name. */
  function(name: string): LambdaFunction
  /** Puts an event on a bus; @returns how many targets it went to */
  putEvent(event: JsonObject, bus: string): number
  /** Lets a schedule fire that the template does not have: one that a program made. */
  fire(target: { readonly arn: string; readonly input: Json }): void
  /**
   * Works until `until` says so. Time is put forward whenever nothing is at work.
   * @param options.limitMs of the cloud's time
   * @param options.isBusy what else is at work: tasks
   */
  run(until: () => boolean | Promise<boolean>, options: { readonly limitMs: number }): Promise<void>
  /** Something outside is at work: time is not put forward meanwhile. */
  hold(): Disposable
}

export async function openCloud(options: CloudOptions): Promise<Cloud> {
  const { template, time } = options
  await using opening = new AsyncDisposableStack()
  await mkdir(options.folder, { recursive: true })
  const stack = openStack(template, surroundingsOf(options))
  const queues = opening.use(await openQueues(stack))
  const tables = opening.use(await openTables(stack))
  const proxy = opening.use(
    new CallProxy({
      time,
      targets: { sqs: queues.address, dynamodb: tables.address, ...(await options.openPeers(stack)) },
      queueBase: QUEUE_BASE,
      credentials: options.credentials,
    }),
  )
  const functions = new Map<string, LambdaFunction>()
  for (const name of stack.ofType('AWS::Lambda::Function')) {
    const made = await makeFunction(name, stack, options, proxy)
    functions.set(name, opening.use(made))
  }
  const functionByArn = (arn: string) => {
    const found = [...functions].find(([, { description }]) => description.arn === arn)
    return found === undefined ? undefined : { logicalName: found[0], fn: found[1] }
  }
  const sources = stack.ofType('AWS::Lambda::EventSourceMapping').map((name) => {
    const properties = stack.properties(name)
    const queue = queues.byArn(String(properties['EventSourceArn']))
    const fn = functionByArn(String(properties['FunctionName']))?.fn
    if (queue === undefined || fn === undefined) throw new Error(`The event source "${name}" leads from or to nothing`)
    return new EventSource(properties, { queue, fn, queues, time })
  })
  const agenda = new Agenda(time)
  const invoker = new AsyncInvoker({ stack, queues, agenda })
  const targets: Targets = { stack, queues, agenda, invoker, functionByArn, elsewhere: [] }
  startSchedules(targets)
  const api = opening.use(
    await openHttpApi(stack, {
      time,
      authorize: options.authorize,
      functionOf: (name) => apiFunction(name, functions, stack),
    }),
  )
  const parts = { stack, time, queues, tables, proxy, functions, sources, agenda, invoker, api, targets }
  return cloudOf(parts, opening.move())
}

function apiFunction(name: string, functions: ReadonlyMap<string, LambdaFunction>, stack: Stack): LambdaFunction {
  const fn = functions.get(name)
  if (fn === undefined) throw new Error(`There is no function "${name}"`)
  if (!mayInvoke(name, 'apigateway.amazonaws.com', stack))
    throw new Error(`The API may not invoke "${name}": it has no permission`)
  return fn
}

type Parts = Pick<
  Cloud,
  'stack' | 'time' | 'queues' | 'tables' | 'proxy' | 'functions' | 'sources' | 'agenda' | 'invoker' | 'api' | 'targets'
>

function cloudOf(parts: Parts, stack: AsyncDisposableStack): Cloud {
  const { functions, agenda, invoker, sources, time, targets, api } = parts
  let holds = 0
  const isBusy = () =>
    holds + agenda.running + api.running() + sources.reduce((sum, { running }) => sum + running, 0) > 0
  const tick = () => {
    agenda.tick()
    for (const source of sources) source.tick()
  }
  const nextMs = () => Math.min(agenda.nextMs(), ...sources.map((source) => source.nextMs()))
  return {
    ...parts,
    function: (name) => {
      const found = [...functions.values()].find(({ description }) => description.name === name)
      if (found === undefined) throw new Error(`There is no function "${name}"`)
      return found
    },
    putEvent: (event, bus) => putEvent(event, bus, targets),
    fire: ({ arn, input }) => {
      const found = targets.functionByArn(arn)
      if (found === undefined) throw new Error(`"${arn}" is no function`)
      invoker.invoke(found.fn, input, { logicalName: found.logicalName })
    },
    hold: () => {
      holds++
      return { [Symbol.dispose]: () => holds-- }
    },
    run: (until, options) => work({ until, ...options }, { time, isBusy, tick, nextMs }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

const LOOK_MS = 4
/** How often `until` is asked while something is at work. */
const ASK_MS = 100

async function work(
  { until, limitMs }: { readonly until: () => boolean | Promise<boolean>; readonly limitMs: number },
  cloud: { readonly time: VirtualTime; isBusy(): boolean; tick(): void; nextMs(): number },
): Promise<void> {
  const endMs = cloud.time.nowMs() + limitMs
  let askedMs = 0
  for (;;) {
    cloud.tick()
    const busy = cloud.isBusy()
    if (!busy || performance.now() - askedMs > ASK_MS) {
      if (await until()) return
      askedMs = performance.now()
    }
    if (cloud.time.nowMs() > endMs)
      throw new Error(`It did not come to its end within ${limitMs / 1000} s of the cloud's time`)
    if (!busy && !cloud.isBusy()) {
      const aheadMs = cloud.nextMs() - cloud.time.nowMs()
      if (aheadMs > 0) cloud.time.setAheadMs(cloud.time.aheadMs() + Math.min(aheadMs, endMs - cloud.time.nowMs()) + 1)
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

function surroundingsOf({ parameters, imports, dynamic }: CloudOptions): Surroundings {
  const place = {
    region: REGION,
    account: ACCOUNT,
    stackName: 'coldframe-dev',
    queueBase: QUEUE_BASE,
    apiBase: API_BASE,
  }
  return {
    parameters,
    pseudo: {
      ...{
        'AWS::Region': REGION,
        'AWS::AccountId': ACCOUNT,
        'AWS::Partition': 'aws',
        'AWS::URLSuffix': 'amazonaws.com',
      },
      ...{
        'AWS::StackName': place.stackName,
        'AWS::StackId': `arn:aws:cloudformation:${REGION}:${ACCOUNT}:stack/${place.stackName}/1`,
      },
    },
    imports: imports ?? {},
    dynamic: dynamic ?? {},
    zones: ['a', 'b', 'c'].map((zone) => `${REGION}${zone}`),
    ...physicalIds(place),
  }
}

async function makeFunction(
  logicalName: string,
  stack: Stack,
  options: CloudOptions,
  proxy: CallProxy,
): Promise<LambdaFunction> {
  const { Handler, Timeout, MemorySize, Environment, Runtime } = stack.properties(logicalName)
  if (!/^nodejs24\./.test(String(Runtime)))
    throw new Error(`Function "${logicalName}" runs on "${String(Runtime)}", not on Node 24`)
  const [, name = ''] = /^build\/functions\/([^/]+)\/handler\.handler$/.exec(String(Handler)) ?? []
  if (name === '') throw new Error(`Function "${logicalName}" has the handler "${String(Handler)}"`)
  const variables = isObject(Environment ?? null) ? (Environment as JsonObject)['Variables'] : {}
  const environment = isObject(variables ?? null) ? Object.entries(variables as JsonObject) : []
  return new LambdaFunction(
    {
      name,
      functionName: String(stack.resolve({ Ref: logicalName }, logicalName)),
      arn: String(stack.resolve({ 'Fn::GetAtt': [logicalName, 'Arn'] }, logicalName)),
      taskRoot: await options.taskRootOf(name),
      handler: String(Handler),
      timeoutMs: Number(Timeout ?? 3) * 1000,
      memoryMb: Number(MemorySize ?? 128),
      environment: Object.fromEntries(environment.map(([key, value]) => [key, String(value)])),
    },
    { time: options.time, logFolder: options.folder, openWay: (owner) => proxy.open(owner) },
  )
}
