// Queues on SQS, a queue a stage. On AWS functions are fed by event source mappings and only send; receiving is for whoever drives
// the stages otherwise, and for tests.

import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { assert, BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { StageKind, StageMessage } from '../../model/message.ts'
import type { Log } from '../../ports/log.ts'
import type { Delivery, MessageQueue, MessageSender } from '../../ports/queue.ts'
import { encodeStageMessage, parseStageMessage } from '../../wire/message.ts'
import { type AwsPatience, type AwsPlace, callAws, clientSettings, codeOf } from './call.ts'

/** SQS's longest delay of a message, and its largest batch. */
const DELAY_SECONDS_MAX = 900
const BATCH_MAX = 10
/** Dead letters that one look takes. */
const DEAD_MAX = 100

export type SenderOptions = AwsPatience &
  AwsPlace & {
    /** @throws when this program may not send to the queue of this stage */
    readonly urlOf: (kind: StageKind) => string
  }

export type QueueOptions = SenderOptions & {
  readonly deadLetterUrl: string
  /** Told of bodies that nobody can read: they stay where they are and die. */
  readonly log: Log
}

/** A send whose answer was lost is made again: the message may come twice, as any may. */
export function sqsSender(options: SenderOptions): MessageSender {
  return senderOn(clientOf(options), options)
}

export function sqsQueue(options: QueueOptions): MessageQueue {
  const around: Around = { ...options, client: clientOf(options) }
  return {
    ...senderOn(around.client, options),
    receive: (kind, { max, visibilityMs }, cancel) =>
      receive({ url: options.urlOf(kind), max, visibilityMs, queue: kind }, around, cancel),
    extend: (delivery, { visibilityMs }, cancel) =>
      onReceipt(delivery, hiding(around.client, visibilityMs), { around, cancel }),
    remove: (delivery, cancel) => onReceipt(delivery, removal(around.client), { around, cancel }),
    takeDead: (cancel) => takeDead(around, cancel),
  }
}

type Around = QueueOptions & { readonly client: SQSClient }
type AbortOption = { readonly abortSignal: AbortSignal }

function clientOf(place: AwsPlace): SQSClient {
  // To the endpoint of the service, whatever host a queue's address names.
  return new SQSClient({ ...clientSettings(place), useQueueUrlAsEndpoint: false })
}

function senderOn(client: SQSClient, { urlOf, clock, random }: SenderOptions): MessageSender {
  return {
    async send(message, { delayMs }, cancel) {
      const seconds = Math.ceil(delayMs / 1_000)
      assert(
        delayMs >= 0 && seconds <= DELAY_SECONDS_MAX,
        `a message is delayed by 0 to ${DELAY_SECONDS_MAX * 1_000} ms, not ${delayMs}`,
      )
      const command = { QueueUrl: urlOf(message.kind), MessageBody: encodeStageMessage(message), DelaySeconds: seconds }
      await callAws(
        {
          what: `send a message to the stage "${message.kind}"`,
          send: (call) => client.send(new SendMessageCommand(command), call),
          translate: missingQueue,
        },
        { clock, random },
        cancel,
      )
    },
  }
}

type Receiving = {
  readonly url: string
  readonly max: number
  readonly visibilityMs: number
  /** What is delivered, if it is a stage's. */
  readonly queue: string
}

async function receive(
  { url, max, visibilityMs, queue }: Receiving,
  around: Around,
  cancel: Cancel,
): Promise<readonly Delivery[]> {
  const command = {
    QueueUrl: url,
    MaxNumberOfMessages: Math.min(max, BATCH_MAX),
    VisibilityTimeout: secondsOf(visibilityMs),
    WaitTimeSeconds: 0,
    MessageSystemAttributeNames: ['ApproximateReceiveCount' as const],
  }
  const { Messages: messages = [] } = await callAws(
    {
      what: `receive messages of "${queue}"`,
      send: (call) => around.client.send(new ReceiveMessageCommand(command), call),
      translate: missingQueue,
    },
    around,
    cancel,
  )
  return messages.flatMap(({ Body: body = '', ReceiptHandle: handle = '', Attributes: attributes }) => {
    const message = readable(body, around.log)
    if (message === null) return []
    return [{ message, receipt: `${url} ${handle}`, receiveCount: Number(attributes?.ApproximateReceiveCount ?? 1) }]
  })
}

/** Moved by SQS when they were received too often. Each is removed before it is given out: once, never to two. */
async function takeDead(around: Around, cancel: Cancel): Promise<readonly StageMessage[]> {
  const { deadLetterUrl: url } = around
  const dead: StageMessage[] = []
  try {
    while (dead.length < DEAD_MAX) {
      const some = await receive({ url, max: BATCH_MAX, visibilityMs: 30_000, queue: 'dead letters' }, around, cancel)
      if (some.length === 0) return dead
      for (const delivery of some) {
        await onReceipt(delivery, removal(around.client), { around, cancel })
        dead.push(delivery.message)
      }
    }
  } catch (error) {
    // What was removed is in nobody's hands but ours; the rest shows up again.
    if (dead.length === 0) throw error
  }
  return dead
}

type ReceiptCall = {
  readonly what: string
  readonly send: (url: string, handle: string, call: AbortOption) => Promise<unknown>
}

function removal(client: SQSClient): ReceiptCall {
  return {
    what: 'remove a message',
    send: (QueueUrl, ReceiptHandle, call) => client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }), call),
  }
}

function hiding(client: SQSClient, ms: number): ReceiptCall {
  return {
    what: 'hide a message for longer',
    send: (QueueUrl, ReceiptHandle, call) =>
      client.send(
        new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: secondsOf(ms) }),
        call,
      ),
  }
}

/** What was to be done with a receipt that has lapsed has been done by time, or is another receiver's to do. */
async function onReceipt(
  delivery: Delivery,
  { what, send }: ReceiptCall,
  { around, cancel }: { readonly around: Around; readonly cancel: Cancel },
): Promise<void> {
  const [url = '', handle = ''] = delivery.receipt.split(' ')
  const sendUnlessLapsed = async (call: AbortOption): Promise<void> => {
    try {
      await send(url, handle, call)
    } catch (error) {
      if (!LAPSED.has(codeOf(error))) throw error
    }
  }
  await callAws({ what, send: sendUnlessLapsed, translate: missingQueue }, around, cancel)
}

const LAPSED: ReadonlySet<string> = new Set(['MessageNotInflight', 'ReceiptHandleIsInvalid'])

function secondsOf(ms: number): number {
  return Math.ceil(ms / 1_000)
}

function readable(body: string, log: Log): StageMessage | null {
  try {
    return parseStageMessage(body)
  } catch (error) {
    log.error('message.unreadable', error)
    return null
  }
}

function missingQueue(code: string, cause: unknown): BackupError | null {
  if (code !== 'QueueDoesNotExist' && code !== 'AWS.SimpleQueueService.NonExistentQueue') return null
  return new BackupError('Cannot reach a queue of a stage: it does not exist', {
    code: 'queue-missing',
    kind: 'not-found',
    hint: 'Deploy the stack again: it makes the queues and tells functions their addresses',
    cause,
  })
}
