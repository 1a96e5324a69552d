// Queues with SQS's semantics: at least once, in no order, hidden while being worked on, dead-lettered in the end. No code.

import type { Cancel } from '../base/time-limit.ts'
import type { StageKind, StageMessage } from '../model/message.ts'

/** What a stage may do: send. Delay 0 to 900 s (SQS's limit); a longer wait is sent again. */
export interface MessageSender {
  send(message: StageMessage, options: { readonly delayMs: number }, cancel: Cancel): Promise<void>
}

export type Delivery = {
  readonly message: StageMessage
  /** Valid until the visibility ends; a later delivery has another. */
  readonly receipt: string
  readonly receiveCount: number
}

/** What an engine does besides. */
export interface MessageQueue extends MessageSender {
  /** At most `max` messages, hidden for visibilityMs; an empty list at once when there is none. */
  receive(
    queue: StageKind,
    options: { readonly max: number; readonly visibilityMs: number },
    cancel: Cancel,
  ): Promise<readonly Delivery[]>
  /** Hides the message for visibilityMs from now; 0 shows it again. A receipt of an earlier delivery changes nothing. */
  extend(delivery: Delivery, options: { readonly visibilityMs: number }, cancel: Cancel): Promise<void>
  /** Removes it; with a receipt of an earlier delivery nothing happens. One that lapsed just now may still do. */
  remove(delivery: Delivery, cancel: Cancel): Promise<void>
  /** Messages that were received more often than allowed, each handed out once. */
  takeDead(cancel: Cancel): Promise<readonly StageMessage[]>
}
