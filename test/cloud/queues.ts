// The stack's queues on a real SQS peer (fauxqs), in this process: programs reach it over HTTP, event sources look into it directly.

import type { AddressInfo } from 'node:net'
import { buildApp } from 'fauxqs'
import { isObject, type Stack } from './resolve.ts'
import type { JsonObject } from './template.ts'

export type ReceivedMessage = {
  readonly MessageId: string
  readonly ReceiptHandle: string
  readonly Body: string
  readonly MD5OfBody: string
}

type PeerMessage = {
  readonly messageId: string
  readonly body: string
  readonly sentTimestamp: number
  readonly approximateReceiveCount: number
  readonly approximateFirstReceiveTimestamp?: number
  readonly delayUntil?: number
}

/** What is used of fauxqs' queue. */
export type PeerQueue = {
  readonly name: string
  readonly url: string
  readonly arn: string
  readonly attributes: Readonly<Record<string, string>>
  messages: PeerMessage[]
  readonly delayedMessages: readonly PeerMessage[]
  readonly inflightMessages: ReadonlyMap<string, { readonly message: PeerMessage; readonly visibilityDeadline: number }>
  dequeue(max: number, visibility: undefined, dead: (arn: string) => PeerQueue | undefined): readonly ReceivedMessage[]
  deleteMessage(receipt: string): boolean
  processTimers(): void
  enqueue(message: unknown): void
}

type PeerStore = {
  createQueue(name: string, url: string, arn: string, attributes: Record<string, string>): PeerQueue
  getQueueByArn(arn: string): PeerQueue | undefined
}

const PROPERTIES = new Set([
  ...['QueueName', 'VisibilityTimeout', 'MessageRetentionPeriod', 'SqsManagedSseEnabled', 'KmsMasterKeyId', 'Tags'],
  ...['KmsDataKeyReusePeriodSeconds', 'DelaySeconds', 'ReceiveMessageWaitTimeSeconds', 'MaximumMessageSize'],
  ...['RedrivePolicy', 'RedriveAllowPolicy'],
])

export interface Queues extends AsyncDisposable {
  /** "http://127.0.0.1:PORT" */
  readonly address: string
  byName(logicalName: string): PeerQueue
  byArn(arn: string): PeerQueue | undefined
  all(): readonly PeerQueue[]
  send(queue: PeerQueue, body: string): void
}

export async function openQueues(stack: Stack): Promise<Queues> {
  const { SqsStore } = await peerStore()
  const store = new SqsStore()
  const app = buildApp({
    logger: false,
    stores: { sqsStore: store as never, snsStore: {} as never, s3Store: {} as never },
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const made = new Map<string, PeerQueue>()
  for (const name of stack.ofType('AWS::SQS::Queue')) made.set(name, createQueue(name, stack, store))
  for (const [name, { attributes }] of made) {
    const target: unknown = JSON.parse(attributes['RedrivePolicy'] ?? '{}').deadLetterTargetArn
    if (typeof target === 'string' && store.getQueueByArn(target) === undefined)
      throw new Error(`Queue "${name}" sends its dead letters to "${target}", which is no queue`)
  }
  const all = () => [...made.values()]
  return {
    address,
    all,
    byName: (name) => {
      const queue = made.get(name)
      if (queue === undefined) throw new Error(`There is no queue "${name}"`)
      return queue
    },
    byArn: (arn) => store.getQueueByArn(arn),
    send: (queue, body) => queue.enqueue(SqsStore.createMessage(body)),
    [Symbol.asyncDispose]: async () => {
      app.server.closeAllConnections()
      await app.close()
    },
  }
}

type StoreClass = { new (): PeerStore; createMessage(body: string): unknown }

/** fauxqs does not export its store, and takes one. */
async function peerStore(): Promise<{ readonly SqsStore: StoreClass }> {
  return await import(new URL('sqs/sqsStore.js', import.meta.resolve('fauxqs')).href)
}

function createQueue(name: string, stack: Stack, store: PeerStore): PeerQueue {
  const properties = stack.properties(name)
  const odd = Object.keys(properties).filter((key) => !PROPERTIES.has(key))
  if (odd.length > 0) throw new Error(`Queue "${name}" has "${odd.join('", "')}", which is not known here`)
  const [queueName, url, arn] = ['QueueName', 'QueueUrl', 'Arn'].map((attribute) =>
    String(stack.resolve({ 'Fn::GetAtt': [name, attribute] }, name)),
  )
  return store.createQueue(queueName ?? '', url ?? '', arn ?? '', attributesOf(properties))
}

function attributesOf({ QueueName: _name, Tags: _tags, ...properties }: JsonObject): Record<string, string> {
  return Object.fromEntries(
    Object.entries(properties).map(([key, value]) => [key, isObject(value) ? JSON.stringify(value) : String(value)]),
  )
}

/** When the next hidden or delayed message shows up; 0: one is there; Infinity: there is none. */
export function nextShowMs(queue: PeerQueue): number {
  if (queue.messages.length > 0) return 0
  const times = [
    ...queue.delayedMessages.map(({ delayUntil = 0 }) => delayUntil),
    ...[...queue.inflightMessages.values()].map(({ visibilityDeadline }) => visibilityDeadline),
  ]
  return Math.min(...times)
}
