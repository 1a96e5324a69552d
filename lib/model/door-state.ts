// What a door remembers from one call to the next: how far it has read, what waits, what it has spent. One record a purpose.

import type { AlarmQueue } from './alarm-queue.ts'
import type { RpoWatch } from './rpo-watch.ts'

/** By name: "pull:<vcenter>", "alarms:<policy>", "rpo:<policy>". */
export type DoorState =
  /** How far the events of a vCenter were read: since when to read on, and the keys of those that are known of what comes then. */
  { readonly kind: 'checkpoint'; readonly at: string; readonly keys: readonly number[] } | AlarmQueue | RpoWatch
