// Ports whose calls a meter counts, each as one request. What is tried again below is not seen.

import type { KeyWrapper } from '../../ports/keys.ts'
import type { Events } from '../../ports/log.ts'
import type { Meter } from '../../ports/meter.ts'
import type { MessageSender } from '../../ports/queue.ts'

export function meteredSender(inner: MessageSender, meter: Pick<Meter, 'add'>): MessageSender {
  return {
    send: async (message, options, cancel) => {
      // Each message is received and removed once, too, when all goes well.
      meter.add({ queueRequests: 3 })
      await inner.send(message, options, cancel)
    },
  }
}

export function meteredEvents(inner: Events, meter: Pick<Meter, 'add'>): Events {
  return {
    publish: async (event, cancel) => {
      meter.add({ eventRequests: 1 })
      await inner.publish(event, cancel)
    },
  }
}

export function meteredWrapper(inner: KeyWrapper, meter: Pick<Meter, 'add'>): KeyWrapper {
  return {
    kind: inner.kind,
    wrap: async (key, context, cancel) => {
      meter.add({ keyRequests: 1 })
      return await inner.wrap(key, context, cancel)
    },
    unwrap: async (blob, context, cancel) => {
      meter.add({ keyRequests: 1 })
      return await inner.unwrap(blob, context, cancel)
    },
  }
}
