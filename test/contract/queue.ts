// What every message queue keeps: SQS's semantics. Run on each implementation.

import { describe, expect, it } from 'vitest'
import type { JobMessage, StageMessage } from '../../lib/model/message.ts'
import type { Delivery, MessageQueue } from '../../lib/ports/queue.ts'
import { sampleJob, sampleRunId } from '../kit/record-samples.ts'

const cancel = { signal: new AbortController().signal }
const once = { max: 10, visibilityMs: 30_000 }

function message(round: number): JobMessage {
  return { v: 1, kind: 'capture', jobId: sampleJob().id, attempt: 1, round }
}

function first(deliveries: readonly Delivery[]): Delivery {
  const [delivery] = deliveries
  if (delivery === undefined) throw new Error('nothing was delivered')
  return delivery
}

export type OpenedQueue = AsyncDisposable & {
  readonly queue: MessageQueue
  /** Lets the queue's time pass. */
  advance(ms: number): Promise<void>
}

/** @param open a new, empty queue whose messages are dead after three receipts */
export function queueContract(name: string, open: () => Promise<OpenedQueue>): void {
  describe(`message queue: ${name}`, () => {
    const send = (queue: MessageQueue, round: number, delayMs = 0) => queue.send(message(round), { delayMs }, cancel)

    it('delivers what was sent, to the queue of its kind alone', async () => {
      await using opened = await open()
      const { queue } = opened
      const plan: StageMessage = { v: 1, kind: 'plan', runId: sampleRunId }
      const abandon: StageMessage = {
        v: 1,
        kind: 'abandon',
        target: { kind: 'run', runId: sampleRunId },
        reason: 'why "not"',
      }
      for (const each of [plan, message(1), abandon]) await queue.send(each, { delayMs: 0 }, cancel)

      expect(await queue.receive('finish', once, cancel)).toEqual([])
      expect(first(await queue.receive('plan', once, cancel)).message).toEqual(plan)
      expect(first(await queue.receive('capture', once, cancel))).toMatchObject({
        message: message(1),
        receiveCount: 1,
      })
      expect(first(await queue.receive('abandon', once, cancel)).message).toEqual(abandon)
    })

    it('hands out no more than asked for, and each message to one receiver', async () => {
      await using opened = await open()
      const { queue } = opened
      for (const round of [1, 2, 3]) await send(queue, round)

      const two = await queue.receive('capture', { max: 2, visibilityMs: 30_000 }, cancel)
      const rest = await queue.receive('capture', once, cancel)
      expect(two).toHaveLength(2)
      expect(rest).toHaveLength(1)
      const rounds = [...two, ...rest].map((delivery) =>
        delivery.message.kind === 'capture' ? delivery.message.round : 0,
      )
      expect(rounds.toSorted()).toEqual([1, 2, 3])
    })

    it('shows a delayed message when its delay has passed', async () => {
      await using opened = await open()
      await send(opened.queue, 1, 900_000)

      await opened.advance(899_000)
      expect(await opened.queue.receive('capture', once, cancel)).toEqual([])
      await opened.advance(1_000)
      expect(await opened.queue.receive('capture', once, cancel)).toHaveLength(1)
    })

    it('refuses a delay longer than SQS allows', async () => {
      await using opened = await open()

      await expect(send(opened.queue, 1, 900_001)).rejects.toThrow(/900000/)
    })

    it('shows a message again when it was not removed in time, counting its receipts', async () => {
      await using opened = await open()
      const { queue } = opened
      await send(queue, 1)

      expect(first(await queue.receive('capture', once, cancel)).receiveCount).toBe(1)
      await opened.advance(30_000)
      expect(first(await queue.receive('capture', once, cancel)).receiveCount).toBe(2)
    })

    it('never shows a removed message again', async () => {
      await using opened = await open()
      const { queue } = opened
      await send(queue, 1)
      await queue.remove(first(await queue.receive('capture', once, cancel)), cancel)

      await opened.advance(1_000_000)
      expect(await queue.receive('capture', once, cancel)).toEqual([])
      expect(await queue.takeDead(cancel)).toEqual([])
    })

    it('hides a message for longer when it is extended, and shows it at once when extended by nothing', async () => {
      await using opened = await open()
      const { queue } = opened
      await send(queue, 1)
      const delivery = first(await queue.receive('capture', once, cancel))
      await opened.advance(20_000)
      await queue.extend(delivery, { visibilityMs: 30_000 }, cancel)
      await opened.advance(20_000)
      expect(await queue.receive('capture', once, cancel)).toEqual([])

      await queue.extend(delivery, { visibilityMs: 0 }, cancel)
      expect(await queue.receive('capture', once, cancel)).toHaveLength(1)
    })

    it('changes nothing for a receipt of an earlier delivery', async () => {
      await using opened = await open()
      const { queue } = opened
      await send(queue, 1)
      const lapsed = first(await queue.receive('capture', once, cancel))
      await opened.advance(30_000)

      const again = first(await queue.receive('capture', once, cancel))
      await queue.remove(lapsed, cancel)
      await queue.extend(lapsed, { visibilityMs: 0 }, cancel)
      expect(await queue.receive('capture', once, cancel)).toEqual([])
      await queue.remove(again, cancel)
      await opened.advance(30_000)
      expect(await queue.receive('capture', once, cancel)).toEqual([])
    })

    it('hands out a message as dead, once, after as many receipts as allowed', async () => {
      await using opened = await open()
      const { queue } = opened
      await send(queue, 7)
      for (let receipt = 1; receipt <= 3; receipt++) {
        expect(await queue.receive('capture', once, cancel)).toHaveLength(1)
        expect(await queue.takeDead(cancel)).toEqual([])
        await opened.advance(30_000)
      }

      expect(await queue.receive('capture', once, cancel)).toEqual([])
      expect(await queue.takeDead(cancel)).toEqual([message(7)])
      expect(await queue.takeDead(cancel)).toEqual([])
    })

    it('does nothing for a caller that has been cancelled', async () => {
      await using opened = await open()
      const cancelled = { signal: AbortSignal.abort(new Error('over')) }

      await expect(opened.queue.send(message(1), { delayMs: 0 }, cancelled)).rejects.toThrow('over')
      expect(await opened.queue.receive('capture', once, cancel)).toEqual([])
    })
  })
}
