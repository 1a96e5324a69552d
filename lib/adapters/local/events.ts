// Domain events of one machine: lines of JSON in a file that others may follow.

import { cloudEventOf } from '../../model/cloud-event.ts'
import type { Events } from '../../ports/log.ts'

/** @param write takes one whole line; must not throw */
export function lineEvents(write: (line: string) => void): Events {
  return {
    async publish(event, { signal }) {
      signal.throwIfAborted()
      write(`${JSON.stringify(cloudEventOf(event))}\n`)
    },
  }
}
