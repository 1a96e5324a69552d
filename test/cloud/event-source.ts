// An event source mapping from a queue to a function, as Lambda's pollers are: batches, concurrency, partial failures. A batch that failed
// stays hidden until its visibility ends; the queue itself gives up on messages.

import type { Random } from '../../lib/base/random.ts'
import type { LambdaFunction } from './lambda-function.ts'
import { nextShowMs, type PeerQueue, type Queues, type ReceivedMessage } from './queues.ts'
import type { Json, JsonObject } from './template.ts'
import type { VirtualTime } from './virtual-time.ts'

/** Deliveries that SQS is allowed to make, and seldom does. */
export type Mischief = {
  readonly random: Random
  /** Of each batch, how likely it is delivered once more; a copy comes at once or up to lateMs later. */
  readonly twiceChance: number
  readonly lateMs: number
}

export type SourceCounts = { messages: number; batches: number; failedMessages: number; duplicates: number }

const PROPERTIES = new Set([
  ...['BatchSize', 'EventSourceArn', 'FunctionName', 'Enabled', 'FunctionResponseTypes', 'ScalingConfig'],
  ...['MaximumBatchingWindowInSeconds', 'Tags'],
])
const CONCURRENCY_MAX = 1000

type SqsRecord = JsonObject & { readonly messageId: string; readonly receiptHandle: string }

export class EventSource {
  readonly counts: SourceCounts = { messages: 0, batches: 0, failedMessages: 0, duplicates: 0 }
  /** Null: everything is delivered once and in order, as far as a queue does so. */
  mischief: Mischief | null = null
  running = 0
  readonly queue: PeerQueue
  readonly fn: LambdaFunction
  readonly #time: VirtualTime
  readonly #queues: Queues
  readonly #batchSize: number
  readonly #windowMs: number
  readonly #concurrency: number
  readonly #partial: boolean
  readonly #enabled: boolean
  readonly #copies: { readonly atMs: number; readonly records: readonly SqsRecord[] }[] = []
  #waitingSinceMs: number | null = null

  /** @throws Error when Lambda would refuse such a mapping, or it says what is not known here */
  constructor(
    properties: JsonObject,
    around: {
      readonly queue: PeerQueue
      readonly fn: LambdaFunction
      readonly queues: Queues
      readonly time: VirtualTime
    },
  ) {
    const { queue, fn, queues, time } = around
    const odd = Object.keys(properties).filter((key) => !PROPERTIES.has(key))
    if (odd.length > 0)
      throw new Error(`The event source of "${fn.description.name}" has "${odd.join('", "')}", which is not known here`)
    const visibilityMs = Number(queue.attributes['VisibilityTimeout']) * 1000
    if (visibilityMs < fn.description.timeoutMs)
      throw new Error(
        `"${queue.name}" shows messages again after ${visibilityMs} ms, before "${fn.description.name}" has ended`,
      )
    this.queue = queue
    this.fn = fn
    this.#queues = queues
    this.#time = time
    this.#batchSize = Number(properties['BatchSize'] ?? 10)
    this.#windowMs = Number(properties['MaximumBatchingWindowInSeconds'] ?? 0) * 1000
    if (this.#batchSize > 10 && this.#windowMs === 0)
      throw new Error(`A batch of ${this.#batchSize} needs a batching window`)
    const scaling = properties['ScalingConfig'] as { readonly MaximumConcurrency?: number } | undefined
    this.#concurrency = scaling?.MaximumConcurrency ?? CONCURRENCY_MAX
    if (this.#concurrency < 2) throw new Error(`MaximumConcurrency is ${this.#concurrency}, at least 2`)
    this.#partial = JSON.stringify(properties['FunctionResponseTypes'] ?? []) === '["ReportBatchItemFailures"]'
    this.#enabled = properties['Enabled'] !== false
  }

  /** Begins what can begin now. */
  tick(): void {
    if (!this.#enabled) return
    while (this.running < this.#concurrency) {
      const records = this.#dueCopy() ?? this.#nextBatch()
      if (records === null) return
      this.running++
      void this.#deliver(records).finally(() => this.running--)
    }
  }

  /** When tick() may find more to do; Infinity: nothing is known of. */
  nextMs(): number {
    if (!this.#enabled) return Number.POSITIVE_INFINITY
    const shown = this.#waitingSinceMs === null ? nextShowMs(this.queue) : this.#waitingSinceMs + this.#windowMs
    return Math.min(shown, ...this.#copies.map(({ atMs }) => atMs))
  }

  #dueCopy(): readonly SqsRecord[] | null {
    const index = this.#copies.findIndex(({ atMs }) => atMs <= this.#time.nowMs())
    return index < 0 ? null : (this.#copies.splice(index, 1)[0]?.records ?? null)
  }

  #nextBatch(): readonly SqsRecord[] | null {
    const { queue, mischief } = this
    queue.processTimers()
    if (queue.messages.length === 0) {
      this.#waitingSinceMs = null
      return null
    }
    const nowMs = this.#time.nowMs()
    this.#waitingSinceMs ??= nowMs
    if (queue.messages.length < this.#batchSize && nowMs < this.#waitingSinceMs + this.#windowMs) return null
    this.#waitingSinceMs = null
    if (mischief !== null) queue.messages = shuffled(queue.messages, mischief.random)
    const received: ReceivedMessage[] = []
    while (received.length < this.#batchSize) {
      const more = queue.dequeue(this.#batchSize - received.length, undefined, (arn) => this.#queues.byArn(arn))
      if (more.length === 0) break
      received.push(...more)
    }
    if (received.length === 0) return null
    const records = received.map((message) => this.#recordOf(message))
    if (mischief !== null && mischief.random.fraction() < mischief.twiceChance) this.#deliverAgain(records, mischief)
    return records
  }

  #deliverAgain(records: readonly SqsRecord[], { random, lateMs }: Mischief): void {
    const afterMs = random.fraction() < 0.5 ? 0 : Math.round(random.fraction() * lateMs)
    const copies = records.map((record) => ({ ...record, receiptHandle: `copy of ${record.receiptHandle}` }))
    this.#copies.push({ atMs: this.#time.nowMs() + afterMs, records: copies })
    this.counts.duplicates += copies.length
  }

  #recordOf({ MessageId, ReceiptHandle, Body, MD5OfBody }: ReceivedMessage): SqsRecord {
    const message = this.queue.inflightMessages.get(ReceiptHandle)?.message
    const region = this.queue.arn.split(':')[3] ?? ''
    return {
      messageId: MessageId,
      receiptHandle: ReceiptHandle,
      body: Body,
      attributes: {
        ApproximateReceiveCount: String(message?.approximateReceiveCount),
        SentTimestamp: String(message?.sentTimestamp),
        SenderId: 'AROAEXAMPLE:coldframe',
        ApproximateFirstReceiveTimestamp: String(message?.approximateFirstReceiveTimestamp),
      },
      messageAttributes: {},
      md5OfBody: MD5OfBody,
      eventSource: 'aws:sqs',
      eventSourceARN: this.queue.arn,
      awsRegion: region,
    }
  }

  async #deliver(records: readonly SqsRecord[]): Promise<void> {
    this.counts.batches++
    this.counts.messages += records.length
    const result = await this.fn.invoke({ Records: records })
    const failed = result.kind === 'error' ? null : failedOf(result.payload, records, this.#partial)
    for (const { messageId, receiptHandle } of records) {
      if (failed?.has(messageId) === false) this.queue.deleteMessage(receiptHandle)
      else this.counts.failedMessages++
    }
  }
}

/** The ids that the function says have failed; null: the whole batch (AWS Lambda guide, "Implementing partial batch responses"). */
function failedOf(payload: Json, records: readonly SqsRecord[], partial: boolean): ReadonlySet<string> | null {
  if (!partial || payload === null || payload === '') return new Set()
  if (typeof payload !== 'object' || Array.isArray(payload)) return null
  const list = (payload as JsonObject)['batchItemFailures']
  if (list === undefined || list === null) return new Set()
  if (!Array.isArray(list)) return null
  const ids = (list as readonly JsonObject[]).map((item) => item?.['itemIdentifier'])
  const known = new Set(records.map(({ messageId }) => messageId))
  if (!ids.every((id): id is string => typeof id === 'string' && known.has(id))) return null
  return new Set(ids)
}

function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const mixed = items.map((item) => [random.fraction(), item] as const)
  return mixed.toSorted(([a], [b]) => a - b).map(([, item]) => item)
}
