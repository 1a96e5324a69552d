// CloudEvents of vCenter's events, as VEBA, Tanzu Sources for Knative and the older event router send them: attributes in headers
// (binary) or beside the data (structured). The data is the event in the JSON of govmomi, whose names begin with a capital before
// version 0.31 and with a small letter since.

import * as z from 'zod'
import { alarmStateOf, type ToldAlarm } from '../../model/alarm.ts'
import {
  type AlarmBody,
  anyText,
  malformedAlarm,
  neededText,
  needsJson,
  parseBody,
  parseValue,
  textOf,
  timeOf,
} from './fields.ts'

const STRUCTURED = 'application/cloudevents+json'

const attributes = z.object({
  specversion: z.string(),
  id: z.string().min(1),
  source: z.string().min(1),
  type: z.string().min(1),
  subject: z.string().optional(),
  time: anyText,
})
const structured = attributes.extend({ data: z.unknown() })

const reference = z.object({ Type: z.string(), Value: z.string() }).nullish()
const named = <Key extends string>(key: Key) =>
  z.object({ Name: anyText, [key]: reference } as { Name: typeof anyText } & Record<Key, typeof reference>).nullish()

/** Source is where the alarm is defined, Entity what it is about: vim25.AlarmEvent says so, and the event's own text agrees. */
const event = z.object({
  CreatedTime: anyText,
  FullFormattedMessage: anyText,
  Vm: named('Vm'),
  Alarm: named('Alarm'),
  Entity: named('Entity'),
  From: anyText,
  To: anyText,
})

/** @throws BackupError `alarm-malformed`, `alarm-content-type` */
export function parseCloudEvent(body: AlarmBody): ToldAlarm {
  needsJson(body, [STRUCTURED])
  const { about, data } = isStructured(body) ? fromBody(body) : fromHeaders(body)
  if (!/^1\./.test(about.specversion)) throw malformedAlarm(`specversion is "${about.specversion}", 1.0 is understood`)
  const told = parseValue(capitalised(data), event)
  const eventName = eventNameOf(about)
  const isAlarm = told.Alarm !== undefined && told.Alarm !== null
  const to = textOf(told.To)
  const entity = isAlarm ? told.Entity : told.Vm
  const ref = isAlarm ? told.Entity?.Entity : told.Vm?.Vm
  return {
    source: 'cloudevents',
    // The two together are what is repeated when an event is delivered again (CloudEvents 1.0, "id").
    key: JSON.stringify([about.source, about.id]),
    vcenterId: null,
    alarmName: isAlarm ? neededText(told.Alarm?.Name, 'Alarm.Name') : eventName,
    state: isAlarm ? alarmStateOf(to) : 'raised',
    from: textOf(told.From),
    to,
    criticality: to,
    target: {
      moref: textOf(ref?.Value),
      instanceUuid: null,
      name: textOf(entity?.Name),
      kind: textOf(ref?.Type),
    },
    message: textOf(told.FullFormattedMessage),
    occurredAt: timeOf(told.CreatedTime) ?? timeOf(about.time),
  }
}

/** Names of members with a capital first letter, however they came. */
function capitalised(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || depth > 3) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      `${name.slice(0, 1).toUpperCase()}${name.slice(1)}`,
      capitalised(member, depth + 1),
    ]),
  )
}

type Parts = { readonly about: z.output<typeof attributes>; readonly data: unknown }

/** The older router said application/json for structured events, too: then nothing is in the headers. */
function isStructured({ contentType, headers }: AlarmBody): boolean {
  const type = (contentType ?? '').split(';')[0]?.trim().toLowerCase()
  return type === STRUCTURED || headers['ce-id'] === undefined
}

function fromBody({ text }: AlarmBody): Parts {
  const { data, ...about } = parseBody(text, structured)
  return { about, data }
}

function fromHeaders({ headers, text }: AlarmBody): Parts {
  const header = (name: string) => headers[`ce-${name}`]
  const about = parseValue(
    {
      specversion: header('specversion'),
      id: header('id'),
      source: header('source'),
      type: header('type'),
      subject: header('subject'),
      time: header('time'),
    },
    attributes,
  )
  return { about, data: parseBody(text, z.unknown()) }
}

/** "com.vmware.vsphere.VmRemovedEvent.v0"; the older router has "com.vmware.event.router/event" and the name as the subject. */
function eventNameOf({ type, subject }: z.output<typeof attributes>): string {
  const name = /^com\.vmware\.vsphere\.(.+?)(?:\.v\d+)?$/.exec(type)?.[1] ?? subject
  return neededText(name ?? type, 'type')
}
