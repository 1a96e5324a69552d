// Notifications kept in memory, in the order of their sending; for tests.

import type { Notification, Notifier } from '../../ports/notifier.ts'

export type MemoryNotifier = Notifier & { readonly sent: readonly Notification[] }

export function memoryNotifier(): MemoryNotifier {
  const sent: Notification[] = []
  return {
    sent,
    async notify(notification, { signal }) {
      signal.throwIfAborted()
      sent.push(notification)
    },
  }
}
