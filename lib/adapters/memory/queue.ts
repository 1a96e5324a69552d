// Queues in memory with SQS's semantics; for tests.

import type { Clock } from '../../base/clock.ts'
import { assert } from '../../base/errors.ts'
import type { StageMessage } from '../../model/message.ts'
import type { Delivery, MessageQueue } from '../../ports/queue.ts'

/** SQS's longest delay of a message. */
const DELAY_MS_MAX = 900_000

type Held = { readonly id: number; readonly message: StageMessage; visibleAtMs: number; receiveCount: number }

/** @param options.receivesMax a message that was received this often and not removed is dead */
export function memoryQueue(options: { readonly clock: Clock; readonly receivesMax: number }): MessageQueue {
  const { clock, receivesMax } = options
  let held: readonly Held[] = []
  let nextId = 1
  const isVisible = (entry: Held): boolean => entry.visibleAtMs <= clock.nowMs()
  const isDead = (entry: Held): boolean => entry.receiveCount >= receivesMax && isVisible(entry)
  const find = ({ receipt }: Delivery): Held | undefined =>
    held.find((entry) => receiptOf(entry) === receipt && !isVisible(entry))
  return {
    async send(message, { delayMs }, { signal }) {
      signal.throwIfAborted()
      assert(delayMs >= 0 && delayMs <= DELAY_MS_MAX, `a message is delayed by 0 to ${DELAY_MS_MAX} ms, not ${delayMs}`)
      held = [...held, { id: nextId++, message, visibleAtMs: clock.nowMs() + delayMs, receiveCount: 0 }]
    },
    async receive(queue, { max, visibilityMs }, { signal }) {
      signal.throwIfAborted()
      return held
        .filter((entry) => entry.message.kind === queue && isVisible(entry) && !isDead(entry))
        .toSorted((a, b) => a.visibleAtMs - b.visibleAtMs)
        .slice(0, max)
        .map((entry) => {
          entry.receiveCount += 1
          entry.visibleAtMs = clock.nowMs() + visibilityMs
          return { message: entry.message, receipt: receiptOf(entry), receiveCount: entry.receiveCount }
        })
    },
    async extend(delivery, { visibilityMs }, { signal }) {
      signal.throwIfAborted()
      const entry = find(delivery)
      if (entry !== undefined) entry.visibleAtMs = clock.nowMs() + visibilityMs
    },
    async remove(delivery, { signal }) {
      signal.throwIfAborted()
      const entry = find(delivery)
      held = held.filter((other) => other !== entry)
    },
    async takeDead({ signal }) {
      signal.throwIfAborted()
      const dead = held.filter(isDead)
      held = held.filter((entry) => !dead.includes(entry))
      return dead.map(({ message }) => message)
    },
  }
}

function receiptOf(entry: Held): string {
  return `${entry.id}:${entry.receiveCount}`
}
