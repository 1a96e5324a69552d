// A domain event in the form that others read: CloudEvents 1.0, JSON, "structured". The same on a bus and in a file.

import type { Facts } from '../base/errors.ts'

export const EVENT_SOURCE = 'coldframe'

export type CloudEvent = {
  readonly specversion: '1.0'
  readonly id: string
  readonly source: string
  readonly type: string
  readonly subject: string
  /** ISO 8601, UTC. */
  readonly time: string
  readonly datacontenttype: 'application/json'
  readonly data: Facts
}

export function cloudEventOf(event: {
  readonly id: string
  readonly type: string
  readonly subject: string
  readonly at: string
  readonly data: Facts
}): CloudEvent {
  const { id, type, subject, at, data } = event
  const form = { specversion: '1.0', datacontenttype: 'application/json' } as const
  return { ...form, id, source: EVENT_SOURCE, type, subject, time: at, data }
}
