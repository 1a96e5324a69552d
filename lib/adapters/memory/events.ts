// Domain events kept in memory, in the order of their publication; for tests.

import type { DomainEvent, Events } from '../../ports/log.ts'

export type MemoryEvents = Events & { readonly published: readonly DomainEvent[] }

export function memoryEvents(): MemoryEvents {
  const published: DomainEvent[] = []
  return {
    published,
    async publish(event, { signal }) {
      signal.throwIfAborted()
      published.push(event)
    },
  }
}
