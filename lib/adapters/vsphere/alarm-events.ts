// Changes of alarms from vCenter's event log: one history collector, read from its oldest item to its newest (vSphere Web Services
// API, EventHistoryCollector). Events are only read; a collector lives as long as its session at most.

import type { Cancel } from '../../base/time-limit.ts'
import type { AlarmEvent } from '../../model/alarm-event.ts'
import { decodeName } from './places.ts'
import { retryReading, type VimSession } from './session.ts'
import {
  isRef,
  needed,
  numberAt,
  type Ref,
  record,
  recordAt,
  recordsOf,
  refAt,
  textAt,
  type VimRecord,
} from './values.ts'
import { utcTime } from './vm-state.ts'

const EVENT = 'AlarmStatusChangedEvent'
/** The most that a collector gives at once is 1,000. */
const PAGE_MAX = 200

export type AlarmEventsQuery = {
  readonly since: string
  readonly known: ReadonlySet<number>
  readonly limit: number
}

/** A server without an event log (a lone ESXi host has no alarms) has none. */
export async function readAlarmEvents(
  session: VimSession,
  query: AlarmEventsQuery,
  cancel: Cancel,
): Promise<readonly AlarmEvent[]> {
  const { eventManager } = session.content
  if (eventManager === null) return []
  const read = () => session.loggedIn(() => readOnce(session, { ...query, eventManager }, cancel), cancel)
  return retryReading(session.settings, read, cancel)
}

async function readOnce(
  session: VimSession,
  { eventManager, since, known, limit }: AlarmEventsQuery & { readonly eventManager: Ref },
  cancel: Cancel,
): Promise<readonly AlarmEvent[]> {
  const what = 'Cannot read the events of alarms'
  const filter = record({ time: record({ beginTime: since }), eventTypeId: [EVENT] })
  const made = await session.call(
    { method: 'CreateCollectorForEvents', target: eventManager, args: { filter }, what },
    cancel,
  )
  const collector = needed(made !== null && isRef(made) ? made : null, 'event collector')
  try {
    const found: AlarmEvent[] = []
    for (;;) {
      const args = { maxCount: PAGE_MAX }
      const page = await session.call({ method: 'ReadNextEvents', target: collector, args, what }, cancel)
      const events = recordsOf(page ?? undefined)
      for (const each of events) {
        const event = eventOf(each)
        // A server may not look at the time, and one that began a moment earlier is of the next reading.
        if (event === null || event.createdAt < since || known.has(event.key)) continue
        found.push(event)
        if (found.length >= limit) return inOrder(found)
      }
      if (events.length === 0) return inOrder(found)
    }
  } finally {
    // Best effort: the session's end takes it, too.
    await session.call({ method: 'DestroyCollector', target: collector, what }, cancel).catch(() => undefined)
  }
}

/** A collector gives them by their time; those of one time may be turned. */
function inOrder(events: readonly AlarmEvent[]): readonly AlarmEvent[] {
  return events.toSorted((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt) || a.key - b.key)
}

/** Null for an event that is of another kind: a filter that a server does not keep. */
function eventOf(event: VimRecord): AlarmEvent | null {
  if (event.type !== null && event.type !== EVENT) return null
  const entity = recordAt(event, 'entity')
  const ref = refAt(entity, 'entity')
  const name = textAt(entity, 'name')
  const ms = Date.parse(utcTime(needed(textAt(event, 'createdTime'), 'creation time')))
  return {
    key: needed(numberAt(event, 'key'), 'event key'),
    createdAt: new Date(ms).toISOString(),
    alarmName: decodeName(needed(textAt(recordAt(event, 'alarm'), 'name'), 'alarm name')),
    from: needed(textAt(event, 'from'), 'old status'),
    to: needed(textAt(event, 'to'), 'new status'),
    entity: { moref: ref?.value ?? null, kind: ref?.type ?? null, name: name === null ? null : decodeName(name) },
    message: textAt(event, 'fullFormattedMessage'),
  }
}
