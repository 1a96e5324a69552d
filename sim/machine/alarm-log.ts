// What the event log says of alarms: each change of one, of a machine, in the order of its happening.

import type { Clock } from '../../lib/base/clock.ts'
import type { SimAlarmEvent } from './types.ts'

/** So many are kept, as a server's log ends somewhere. */
const KEPT_MAX = 50_000

export class AlarmLog {
  #events: SimAlarmEvent[] = []
  #key = 4000
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  raise(alarm: Omit<SimAlarmEvent, 'key' | 'atMs'>): void {
    this.#events.push({ ...alarm, key: ++this.#key, atMs: this.#clock.nowMs() })
    if (this.#events.length > KEPT_MAX) this.#events = this.#events.slice(-KEPT_MAX)
  }

  events(): readonly SimAlarmEvent[] {
    return this.#events
  }
}
