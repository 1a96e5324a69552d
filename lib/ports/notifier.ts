// Words for people, sent to whoever subscribed. No code.

import type { Facts } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'

export type Notification = {
  /** The same for every sending of one. */
  readonly id: string
  readonly severity: 'info' | 'warning' | 'critical'
  /** One line. */
  readonly subject: string
  readonly message: string
  readonly facts: Facts
}

export interface Notifier {
  notify(notification: Notification, cancel: Cancel): Promise<void>
}
