// What the control plane does and how long it takes, counted around its ports.

import type { Facts } from '../../lib/base/errors.ts'
import type { JobStore } from '../../lib/ports/job-store.ts'
import type { Log } from '../../lib/ports/log.ts'
import type { MessageSender } from '../../lib/ports/queue.ts'
import type { Vsphere } from '../../lib/ports/vsphere.ts'
import { type Around, wrapped, wrappedJobStore, wrappedVsphere } from '../../test/stages/chaos.ts'

export type Counts = {
  readonly calls: Map<string, { count: number; elapsedMs: number }>
  /** By event of the log. */
  readonly events: Map<string, number>
  /** What the stages took, by stage, vCenter's time included. */
  readonly stages: Map<string, { count: number; elapsedMs: number }>
}

export function newCounts(): Counts {
  return { calls: new Map(), events: new Map(), stages: new Map() }
}

function add(map: Counts['calls'], name: string, elapsedMs: number): void {
  const entry = map.get(name) ?? { count: 0, elapsedMs: 0 }
  map.set(name, { count: entry.count + 1, elapsedMs: entry.elapsedMs + elapsedMs })
}

function counting({ calls }: Counts, by: string): Around {
  return async (name, act) => {
    const startedMs = performance.now()
    try {
      return await act()
    } finally {
      add(calls, `${by} ${name}`, performance.now() - startedMs)
    }
  }
}

export type Counted = {
  readonly jobStore: JobStore
  readonly vsphere: Vsphere
  readonly sender: MessageSender
  readonly log: Log
}

/** @param by "stage" or "mover" */
export function counted(ports: Counted, counts: Counts, by: 'stage' | 'mover'): Counted {
  const around = counting(counts, by)
  return {
    jobStore: wrappedJobStore(ports.jobStore, around),
    vsphere: wrappedVsphere(ports.vsphere, around),
    sender: wrapped(ports.sender, 'queue', around),
    log: countedLog(ports.log, counts),
  }
}

function countedLog(log: Log, counts: Counts): Log {
  const count = (event: string) => counts.events.set(event, (counts.events.get(event) ?? 0) + 1)
  const wrap = (inner: Log, bound: Facts): Log => ({
    with: (facts) => wrap(inner.with(facts), { ...bound, ...facts }),
    info: (event, facts) => {
      count(event)
      const elapsedMs = facts?.['elapsedMs']
      if (event === 'stage.done' && typeof elapsedMs === 'number') add(counts.stages, String(bound['stage']), elapsedMs)
      inner.info(event, facts)
    },
    warn: (event, facts) => {
      count(event)
      inner.warn(event, facts)
    },
    error: (event, error, facts) => {
      count(event)
      inner.error(event, error, facts)
    },
  })
  return wrap(log, {})
}

/** Of the calls whose names match. */
export function sumOf({ calls }: Counts, pattern: RegExp): { readonly count: number; readonly elapsedMs: number } {
  let [count, elapsedMs] = [0, 0]
  for (const [name, entry] of calls) {
    if (!pattern.test(name)) continue
    count += entry.count
    elapsedMs += entry.elapsedMs
  }
  return { count, elapsedMs }
}
