// The event log, of alarms alone: asked at once, or by a collector that is read from its oldest item to its newest and back.

import type { SimAlarmEvent } from '../../machine/types.ts'
import {
  type Data,
  data,
  numberAt,
  optionalDataAt,
  optionalNumberAt,
  type Ref,
  ref,
  textsAt,
} from '../../soap/value.ts'
import { invalidArgument, notAuthenticated } from '../faults.ts'
import type { Call, Front, Handler } from '../front.ts'
import type { ManagedObject } from '../managed-object.ts'

const READ_MAX = 1_000
const EVENT = 'AlarmStatusChangedEvent'
/** Names that a filter may call these events by: their own and those of the types above it. */
const NAMES = [EVENT, 'AlarmEvent', 'Event', `vim.event.${EVENT}`]

type Reading = { readonly filter: Data; position: number }

/** By the collector's object, which its session keeps. */
const readings = new WeakMap<ManagedObject, Reading>()

export const eventMethods: Readonly<Record<string, Handler>> = {
  QueryEvents: (call) => matching(call.front, filterOf(call)).slice(-READ_MAX),
  CreateCollectorForEvents: (call) => {
    const { session, front } = call
    if (session === null) throw notAuthenticated('System.View')
    const filter = filterOf(call)
    const own: Ref = ref('EventHistoryCollector', front.sessions.newId(session))
    const object = {
      ref: own,
      properties: { filter: () => filter, latestPage: () => matching(front, filter).slice(-10) },
    }
    readings.set(object, { filter, position: 0 })
    session.objects.set(own.id, object)
    return own
  },
  SetCollectorPageSize: (call) => {
    pageOf(call)
    return null
  },
  RewindCollector: (call) => {
    readingOf(call).position = 0
    return null
  },
  ResetCollector: (call) => {
    const reading = readingOf(call)
    reading.position = matching(call.front, reading.filter).length
    return null
  },
  ReadNextEvents: (call) => {
    const reading = readingOf(call)
    const page = matching(call.front, reading.filter).slice(reading.position, reading.position + pageOf(call))
    reading.position += page.length
    return page
  },
  ReadPreviousEvents: (call) => {
    const reading = readingOf(call)
    const from = Math.max(0, reading.position - pageOf(call))
    const page = matching(call.front, reading.filter).slice(from, reading.position)
    reading.position = from
    return page.toReversed()
  },
  DestroyCollector: (call) => {
    call.session?.objects.delete(call.self.ref.id)
    return null
  },
}

function readingOf({ self }: Call): Reading {
  const reading = readings.get(self)
  if (reading === undefined) throw invalidArgument('_this')
  return reading
}

function pageOf({ args }: Call): number {
  const count = numberAt(args, 'maxCount')
  if (count < 1 || count > READ_MAX) throw invalidArgument('maxCount')
  return count
}

function filterOf({ args }: Call): Data {
  const filter = optionalDataAt(args, 'filter')
  if (filter === null) throw invalidArgument('filter')
  return filter
}

function matching(front: Front, filter: Data): readonly Data[] {
  const wanted = [...textsAt(filter, 'eventTypeId'), ...textsAt(filter, 'type')]
  if (wanted.length > 0 && !wanted.some((name) => NAMES.includes(name))) return []
  const time = optionalDataAt(filter, 'time')
  const msAt = (name: string) => (time === null ? null : dateMs(time, name))
  const [beginMs, endMs] = [msAt('beginTime'), msAt('endTime')]
  const offsetMs = front.settings.clockOffsetMs
  const found = front.world.estate.alarms.events().flatMap((event) => {
    const atMs = event.atMs + offsetMs
    if ((beginMs !== null && atMs < beginMs) || (endMs !== null && atMs > endMs)) return []
    return eventOf(front, event)
  })
  const most = optionalNumberAt(filter, 'maxCount')
  return most === null ? found : found.slice(-most)
}

function dateMs(time: Data, name: string): number | null {
  const value = time.fields[name]
  return value instanceof Date ? value.getTime() : null
}

/** None for a machine that is not in the inventory any more. */
function eventOf(front: Front, { machine, key, atMs, alarmName, from, to }: SimAlarmEvent): readonly Data[] {
  const entity = front.world.entityOf(machine)
  if (entity === null) return []
  const { root } = front.world
  const named = (kind: string, member: string, at: { readonly name: string; readonly ref: Ref }) =>
    data(kind, { name: at.name, [member]: at.ref })
  const datacenter = front.world.datacenterOf(entity)
  return [
    data(EVENT, {
      key,
      chainId: key,
      createdTime: new Date(atMs + front.settings.clockOffsetMs),
      userName: '',
      datacenter: datacenter === null ? null : named('DatacenterEventArgument', 'datacenter', datacenter),
      vm: named('VmEventArgument', 'vm', entity),
      fullFormattedMessage: `Alarm '${alarmName}' on ${entity.name} changed from ${from} to ${to}`,
      alarm: named('AlarmEventArgument', 'alarm', { name: alarmName, ref: ref('Alarm', 'alarm-1') }),
      source: named('ManagedEntityEventArgument', 'entity', root),
      entity: named('ManagedEntityEventArgument', 'entity', entity),
      from,
      to,
    }),
  ]
}
