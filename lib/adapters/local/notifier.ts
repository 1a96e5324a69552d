// Notifications of one machine: nobody is subscribed, so they stand among its events.

import { type Clock, isoTime } from '../../base/clock.ts'
import { cloudEventOf } from '../../model/cloud-event.ts'
import type { Notifier } from '../../ports/notifier.ts'

/** @param write takes one whole line; must not throw */
export function lineNotifier(write: (line: string) => void, { clock }: { readonly clock: Clock }): Notifier {
  return {
    async notify({ id, severity, subject, message, facts }, { signal }) {
      signal.throwIfAborted()
      const at = isoTime(clock.nowMs())
      const data = { ...facts, severity, message }
      write(`${JSON.stringify(cloudEventOf({ id, type: 'coldframe.notification', subject, at, data }))}\n`)
    },
  }
}
