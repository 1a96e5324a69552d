// What stands between programs and the services they call: knows who calls what, counts it, and lets calls come to grief on request. Each
// process has a door of its own, so that the one that made a call can be killed for it.

import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { InstanceWay } from './lambda-function.ts'
import type { VirtualTime } from './virtual-time.ts'

export type Call = {
  /** A function's short name, or "task". */
  readonly caller: string
  /** As in the scope of a signature: "dynamodb". */
  readonly target: string
  /** For example "PutItem"; of S3 its method and what follows the bucket and key. */
  readonly operation: string
  readonly isWrite: boolean
  /** From 1, of this caller, since counting began. */
  readonly nth: number
}

export type Fate =
  | 'pass'
  /** The caller is killed; the call is not carried out. */
  | 'die-before'
  /** The call is carried out, and the caller is killed. */
  | 'die-after'
  /** The call is carried out, and its answer is lost. */
  | 'lose-answer'
  /** The service says that it is asked too much. */
  | 'throttle'

export type CallProxyOptions = {
  readonly time: VirtualTime
  /** Services by their names in signatures: "http://127.0.0.1:PORT". */
  readonly targets: Readonly<Record<string, string>>
  /** What the template's environment has in place of an address of queues. */
  readonly queueBase: string
  readonly credentials: Readonly<Record<string, string>>
}

/** Endpoints that SDKs and our own S3 client take from the environment. */
const ENDPOINTS: Readonly<Record<string, string>> = {
  sqs: 'SQS',
  dynamodb: 'DYNAMODB',
  s3: 'S3',
  ecs: 'ECS',
  kms: 'KMS',
  secretsmanager: 'SECRETS_MANAGER',
  events: 'EVENTBRIDGE',
  sns: 'SNS',
  scheduler: 'SCHEDULER',
  sts: 'STS',
}

export class CallProxy implements AsyncDisposable {
  /** Calls by "caller target operation". */
  readonly counts = new Map<string, number>()
  /** How many met each fate but passing. */
  readonly fates = new Map<Fate, number>()
  /** Calls to what the targets do not name; there should be none. */
  readonly strays: string[] = []
  /** Decides what becomes of each call. */
  decide: (call: Call) => Fate = () => 'pass'
  readonly #nth = new Map<string, number>()
  readonly #options: CallProxyOptions
  readonly #doors = new Set<{ readonly close: () => void }>()

  constructor(options: CallProxyOptions) {
    this.#options = options
  }

  /** Begins to count `nth` anew. */
  countAnew(): void {
    this.#nth.clear()
  }

  /** Opens a door for one process; `kill` ends that process at once. */
  async open(owner: { readonly name: string; readonly kill: () => void }): Promise<InstanceWay> {
    const server = createServer((incoming, response) => {
      this.#pass(owner, incoming, response).catch(() => incoming.destroy())
    })
    server.keepAliveTimeout = 60_000
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const door = {
      close: () => {
        this.#doors.delete(door)
        server.close()
        server.closeAllConnections()
      },
    }
    this.#doors.add(door)
    const endpoints = Object.keys(this.#options.targets).map((target) => [
      `AWS_ENDPOINT_URL_${ENDPOINTS[target] ?? target.toUpperCase()}`,
      base,
    ])
    return {
      variables: { ...this.#options.credentials, ...Object.fromEntries(endpoints), AWS_ENDPOINT_URL: base },
      rewrite: (value) => value.replaceAll(this.#options.queueBase, base),
      close: door.close,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const door of this.#doors) door.close()
  }

  async #pass(
    owner: { readonly name: string; readonly kill: () => void },
    incoming: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const target = targetOf(incoming)
    const base = this.#options.targets[target]
    // The Query protocol names its operation in the body.
    const body = target === 'sns' || target === 'sts' ? await buffer(incoming) : null
    const operation = operationOf(incoming, target, body)
    if (base === undefined) {
      this.strays.push(`${owner.name} ${target} ${operation}`)
      response.writeHead(501).end(`Nobody is "${target}" here`)
      return
    }
    const fate = this.#fateOf({ caller: owner.name, target, operation })
    if (fate === 'die-before') return this.#die(owner, incoming)
    if (fate === 'throttle') return throttle(target, incoming, response)
    const answer = await forward(base, incoming, body)
    if (fate === 'die-after' || fate === 'lose-answer') {
      await buffer(answer)
      if (fate === 'die-after') return this.#die(owner, incoming)
      incoming.socket.resetAndDestroy()
      return
    }
    // A client sets its clock by this header.
    const headers = { ...answer.headers, date: new Date(this.#options.time.nowMs()).toUTCString() }
    response.writeHead(answer.statusCode ?? 502, headers)
    answer.on('error', () => response.destroy())
    answer.pipe(response)
  }

  #fateOf(asked: Pick<Call, 'caller' | 'target' | 'operation'>): Fate {
    const key = `${asked.caller} ${asked.target} ${asked.operation}`
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
    const nth = (this.#nth.get(asked.caller) ?? 0) + 1
    this.#nth.set(asked.caller, nth)
    const fate = this.decide({ ...asked, nth, isWrite: isWrite(asked.operation) })
    if (fate !== 'pass') this.fates.set(fate, (this.fates.get(fate) ?? 0) + 1)
    return fate
  }

  #die(owner: { readonly kill: () => void }, incoming: IncomingMessage): void {
    owner.kill()
    incoming.socket.destroy()
  }
}

/** Every signed request says which service it is meant for. */
function targetOf({ headers, url = '' }: IncomingMessage): string {
  const scope = headers.authorization ?? decodeURIComponent(/X-Amz-Credential=([^&]+)/.exec(url)?.[1] ?? '')
  return /[A-Za-z0-9]+\/\d{8}\/[a-z0-9-]+\/([a-z0-9-]+)\/aws4_request/.exec(scope)?.[1] ?? 'unsigned'
}

function operationOf({ headers, method = '', url = '' }: IncomingMessage, target: string, body: Buffer | null): string {
  const named = headers['x-amz-target']
  if (typeof named === 'string') return named.slice(named.lastIndexOf('.') + 1)
  if (body !== null) return /(?:^|&)Action=(\w+)/.exec(body.toString())?.[1] ?? method
  const [path = '', query = ''] = url.split('?', 2)
  if (target !== 's3') return `${method} ${path.split('/')[1] ?? ''}`
  const marks = [...query.matchAll(/(?:^|&)(uploads|uploadId|list-type|versions|retention|delete)\b/g)]
  return [method, ...marks.map(([, mark = '']) => mark)].join(' ')
}

function isWrite(operation: string): boolean {
  return /^(Put|Update|Delete|Send|Run|Stop|Create|Publish|Change|Tag|BatchWrite|PUT|POST|DELETE|GenerateDataKey)/.test(
    operation,
  )
}

function forward(base: string, incoming: IncomingMessage, body: Buffer | null): Promise<IncomingMessage> {
  const { hostname, port } = new URL(base)
  // The signature covers the host that the client wrote, which the service must see.
  const { expect: _expect, connection: _connection, ...headers } = incoming.headers
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, method: incoming.method, path: incoming.url, headers }, resolve)
    outgoing.on('error', reject)
    incoming.on('error', () => outgoing.destroy())
    if (body === null) incoming.pipe(outgoing)
    else outgoing.end(body)
  })
}

async function throttle(target: string, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  incoming.resume()
  if (target === 's3') {
    const text = '<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
    response.writeHead(503, { 'content-type': 'application/xml' }).end(text)
    return
  }
  if (target === 'sns') {
    const text =
      '<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>'
    response.writeHead(400, { 'content-type': 'text/xml' }).end(text)
    return
  }
  const type =
    target === 'dynamodb'
      ? 'com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException'
      : target === 'sqs'
        ? 'com.amazonaws.sqs#RequestThrottled'
        : 'ThrottlingException'
  const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-errortype': type }
  response.writeHead(400, headers).end(JSON.stringify({ __type: type, message: 'Rate exceeded' }))
}
