// A CloudEvent's text back to the domain event that it was made of.

import type { DomainEvent } from '../../lib/ports/log.ts'

export function domainEventOf(text: string): DomainEvent {
  const { id, type, subject, time, data }: DomainEvent & { readonly time: string } = JSON.parse(text)
  return { id, type, subject, at: time, data }
}
