// Queues on SQS: the contract on fauxqs, whose time is put forward, and what a sender does when SQS does not answer as it should.

import { SendMessageCommand } from '@aws-sdk/client-sqs'
import { describe, expect, it } from 'vitest'
import { sqsQueue, sqsSender } from '../../../lib/adapters/aws/queue.ts'
import { memoryLog } from '../../../lib/adapters/memory/log.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { systemRandom } from '../../../lib/base/random.ts'
import { parseAwsSettings } from '../../../lib/wire/aws-settings.ts'
import { installVirtualTime } from '../../cloud/virtual-time.ts'
import { queueContract } from '../../contract/queue.ts'
import { type Mishap, refusal } from '../../kit/http-proxy.ts'
import { sampleRunId } from '../../kit/record-samples.ts'
import { openSqsPeer, PEER_PLACE } from '../../kit/sqs-peer.ts'

const time = installVirtualTime()
const cancel = { signal: new AbortController().signal }
const hasty = { ...systemClock, sleep: async () => undefined }
const plan = { v: 1, kind: 'plan', runId: sampleRunId } as const

async function openQueue(mishap: () => Mishap | null = () => null) {
  const peer = await openSqsPeer({ receivesMax: 3, mishaps: mishap })
  const log = memoryLog()
  const { endpoint, urlOf, deadLetterUrl, client } = peer
  const queue = sqsQueue({ ...PEER_PLACE, endpoint, urlOf, deadLetterUrl, log, clock: hasty, random: systemRandom })
  return { queue, log, client, urlOf, endpoint, [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose]() }
}

queueContract('SQS on fauxqs', async () => {
  const opened = await openQueue()
  return {
    queue: opened.queue,
    advance: async (ms) => time.setAheadMs(time.aheadMs() + ms),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  }
})

describe('a queue on SQS', () => {
  it('is sent to again until there is an answer: a message may come twice, and never less than once', async () => {
    let left = 0
    await using opened = await openQueue(() => (left-- > 0 ? 'answer-lost' : null))
    left = 2
    await opened.queue.send(plan, { delayMs: 0 }, cancel)
    expect(await opened.queue.receive('plan', { max: 10, visibilityMs: 1_000 }, cancel)).toHaveLength(3)

    left = 100
    await expect(opened.queue.send(plan, { delayMs: 0 }, cancel)).rejects.toMatchObject({
      code: 'aws-unreachable',
      retry: 'later',
    })
  })

  it('that refuses or is not there fails as what it is, at once', async () => {
    let calls = 0
    let mishap: Mishap = refusal(403, 'AccessDeniedException')
    await using opened = await openQueue(() => {
      calls++
      return mishap
    })
    await expect(opened.queue.send(plan, { delayMs: 0 }, cancel)).rejects.toMatchObject({ code: 'aws-refused' })
    mishap = refusal(400, 'QueueDoesNotExist')
    await expect(opened.queue.receive('plan', { max: 1, visibilityMs: 1 }, cancel)).rejects.toMatchObject({
      code: 'queue-missing',
    })
    expect(calls).toBe(2)
  })

  it('gives nobody a body that cannot be read: it dies, and is told of', async () => {
    await using opened = await openQueue()
    await opened.client.send(new SendMessageCommand({ QueueUrl: opened.urlOf('plan'), MessageBody: '{"v":2}' }))
    for (let receipt = 1; receipt <= 4; receipt++) {
      expect(await opened.queue.receive('plan', { max: 10, visibilityMs: 1_000 }, cancel)).toEqual([])
      time.setAheadMs(time.aheadMs() + 2_000)
    }
    expect(opened.log.lines.filter(({ event }) => event === 'message.unreadable')).toHaveLength(3)
    expect(await opened.queue.takeDead(cancel)).toEqual([])
    expect(opened.log.lines.filter(({ event }) => event === 'message.unreadable')).toHaveLength(4)
  })

  it('that this program was not told of is named', async () => {
    const { neededQueue } = await import('../../../lib/wire/aws-settings.ts')
    const settings = parseAwsSettings({})
    const urlOf = (kind: 'plan') => neededQueue(settings, kind)
    const sender = sqsSender({ ...PEER_PLACE, urlOf: () => urlOf('plan'), clock: hasty, random: systemRandom })
    await expect(sender.send(plan, { delayMs: 0 }, cancel)).rejects.toThrow(/COLDFRAME_PLAN_QUEUE is not set/)
  })
})
