// Logs, metrics and events as the library emits them. No code.

import type { Facts } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'

/** One JSON line an event: a fixed name `noun.verb`, then facts with units. No secrets, no bytes of a disk. */
export interface Log {
  with(facts: Facts): Log
  info(event: string, facts?: Facts): void
  warn(event: string, facts?: Facts): void
  error(event: string, error: unknown, facts?: Facts): void
}

export interface Metrics {
  /** Adds to a counter, for example `job.done`; dimensions are few and closed. */
  count(name: string, value: number, dimensions?: Readonly<Record<string, string>>): void
}

/** A state change that others may follow; delivered at least once, in no order. */
export type DomainEvent = {
  /** The same for every delivery of one event. */
  readonly id: string
  /** For example "coldframe.job.done". */
  readonly type: string
  readonly subject: string
  readonly at: string
  readonly data: Facts
}

export interface Events {
  publish(event: DomainEvent, cancel: Cancel): Promise<void>
}
