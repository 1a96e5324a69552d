// Queues in SQLite with SQS's semantics: hidden while worked on, counted, dead after too many receipts.

import type { Clock } from '../../base/clock.ts'
import { assert } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { StageMessage } from '../../model/message.ts'
import type { Log } from '../../ports/log.ts'
import type { Delivery, MessageQueue } from '../../ports/queue.ts'
import { encodeStageMessage, parseStageMessage } from '../../wire/message.ts'
import type { State } from './state.ts'

/** SQS's longest delay of a message. */
const DELAY_MS_MAX = 900_000

export type QueueOptions = {
  readonly clock: Clock
  /** A message that was received this often and not removed is dead. */
  readonly receivesMax: number
  /** Told of bodies that nobody can read; they die and are dropped. */
  readonly log: Log
}

/** The queues are as open as `state` is. Errors are those of openState(). */
export function sqliteQueue(state: State, options: QueueOptions): MessageQueue {
  const { clock, receivesMax, log } = options
  return {
    async send(message, { delayMs }, { signal }) {
      signal.throwIfAborted()
      assert(delayMs >= 0 && delayMs <= DELAY_MS_MAX, `a message is delayed by 0 to ${DELAY_MS_MAX} ms, not ${delayMs}`)
      state.write((sql) =>
        sql('INSERT INTO messages (queue, body, visible_at_ms, receive_count) VALUES (?, ?, ?, 0)').run(
          message.kind,
          encodeStageMessage(message),
          clock.nowMs() + delayMs,
        ),
      )
    },

    async receive(queue, { max, visibilityMs }, { signal }) {
      signal.throwIfAborted()
      const rows = takeVisible(state, options, { queue, max, visibilityMs })
      return rows.flatMap((row) => {
        const message = readable(row['body'], log)
        const receiveCount = Number(row['receive_count'])
        return message === null ? [] : [{ message, receipt: `${row['id']}:${receiveCount}`, receiveCount }]
      })
    },

    extend: (delivery, { visibilityMs }, cancel) =>
      onReceipt(delivery, cancel, (id, receiveCount) => {
        const nowMs = clock.nowMs()
        state.write((sql) =>
          sql('UPDATE messages SET visible_at_ms = ? WHERE id = ? AND receive_count = ? AND visible_at_ms > ?').run(
            nowMs + visibilityMs,
            id,
            receiveCount,
            nowMs,
          ),
        )
      }),

    remove: (delivery, cancel) =>
      onReceipt(delivery, cancel, (id, receiveCount) => {
        state.write((sql) =>
          sql('DELETE FROM messages WHERE id = ? AND receive_count = ? AND visible_at_ms > ?').run(
            id,
            receiveCount,
            clock.nowMs(),
          ),
        )
      }),

    async takeDead({ signal }) {
      signal.throwIfAborted()
      const dead = 'receive_count >= ? AND visible_at_ms <= ?'
      const nowMs = clock.nowMs()
      const some = state.read((sql) => sql(`SELECT 1 FROM messages WHERE ${dead} LIMIT 1`).get(receivesMax, nowMs))
      if (some === undefined) return []
      const rows = state.write((sql) =>
        sql(`DELETE FROM messages WHERE ${dead} RETURNING body`).all(receivesMax, nowMs),
      )
      return rows.map((row) => readable(row['body'], log)).filter((message) => message !== null)
    },
  }
}

type Taking = { readonly queue: string; readonly max: number; readonly visibilityMs: number }

function takeVisible(
  state: State,
  { clock, receivesMax }: QueueOptions,
  { queue, max, visibilityMs }: Taking,
): readonly Record<string, unknown>[] {
  const nowMs = clock.nowMs()
  const visible = 'queue = ? AND visible_at_ms <= ? AND receive_count < ?'
  // An idle poll takes no write lock.
  const some = state.read((sql) =>
    sql(`SELECT 1 FROM messages WHERE ${visible} LIMIT 1`).get(queue, nowMs, receivesMax),
  )
  if (some === undefined) return []
  return state.write((sql) =>
    sql(
      `UPDATE messages SET receive_count = receive_count + 1, visible_at_ms = ?
       WHERE id IN (SELECT id FROM messages WHERE ${visible} ORDER BY visible_at_ms, id LIMIT ?)
       RETURNING id, body, receive_count`,
    ).all(nowMs + visibilityMs, queue, nowMs, receivesMax, max),
  )
}

/**
 * For an engine that has just taken the lock: what its predecessor had in hand when it ended is shown again at once, and
 * every message gets all its tries. Only an engine's end, never a failure, is forgiven so.
 */
export function resetReceipts(state: State, clock: Clock): void {
  state.write((sql) =>
    sql('UPDATE messages SET visible_at_ms = min(visible_at_ms, ?), receive_count = 0 WHERE receive_count > 0').run(
      clock.nowMs(),
    ),
  )
}

async function onReceipt(
  delivery: Delivery,
  { signal }: Cancel,
  action: (id: number, receiveCount: number) => void,
): Promise<void> {
  signal.throwIfAborted()
  const [id, receiveCount] = delivery.receipt.split(':').map(Number)
  assert(id !== undefined && receiveCount !== undefined, 'a receipt is of this queue')
  action(id, receiveCount)
}

function readable(body: unknown, log: Log): StageMessage | null {
  try {
    return parseStageMessage(String(body))
  } catch (error) {
    log.error('message.unreadable', error)
    return null
  }
}
