// Fields of alarms as their sources write them: text, numbers, times, and placeholders that nobody filled in.

import * as z from 'zod'
import { BackupError } from '../../base/errors.ts'
import { ALARM_TEXT_MAX } from '../../model/alarm.ts'
import { issuesText, parseJson } from '../scalars.ts'

/** What a parser is given of a request. Names of headers in lower case. */
export type AlarmBody = {
  readonly contentType: string | null
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly text: string
}

/** Control characters would break a log or a terminal. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g

/**
 * Text of a source, or null where there is none: absent, empty, or a placeholder that its template engine did not know and left as it
 * was. At most ALARM_TEXT_MAX characters are kept.
 */
export function textOf(value: unknown): string | null {
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value : ''
  const plain = text.replace(CONTROL, ' ').trim()
  if (plain === '' || /^\$\{[^{}]*\}$/.test(plain)) return null
  return [...plain].slice(0, ALARM_TEXT_MAX).join('')
}

/** Milliseconds since 1970 as a number or digits, or a time that says its zone; null for anything else: a guess would be worse. */
export function timeOf(value: unknown): string | null {
  const text = textOf(value)
  if (text === null) return null
  const ms = /^\d{10,14}$/.test(text) ? Number(text) : zonedMs(text)
  return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : null
}

function zonedMs(text: string): number {
  return /(Z|UTC|GMT|[+-]\d{2}:?\d{2})\b/.test(text) ? Date.parse(text) : Number.NaN
}

/** @throws BackupError `alarm-content-type` */
export function needsJson({ contentType }: AlarmBody, also: readonly string[] = []): void {
  const type = (contentType ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  if (type === 'application/json' || also.includes(type)) return
  const wanted = ['application/json', ...also].map((one) => `"${one}"`).join(' or ')
  throw new BackupError(`Cannot read an alarm of type "${type}": ${wanted} is understood`, {
    code: 'alarm-content-type',
    kind: 'usage',
  })
}

/** @throws BackupError `alarm-malformed` */
export function parseBody<Output>(text: string, schema: z.ZodType<Output>): Output {
  return parseJson(text, { schema, refuse: malformedAlarm })
}

/** @throws BackupError `alarm-malformed` */
export function parseValue<Output>(value: unknown, schema: z.ZodType<Output>): Output {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw malformedAlarm(issuesText(parsed.error))
}

export function malformedAlarm(reason: string): BackupError {
  return new BackupError(`Cannot read the alarm: ${reason}`, { code: 'alarm-malformed', kind: 'usage' })
}

/** @throws BackupError `alarm-malformed` when it is missing */
export function neededText(value: unknown, name: string): string {
  const text = textOf(value)
  if (text === null) throw malformedAlarm(`"${name}" is missing`)
  return text
}

/** Anything that a source may put where text belongs. */
export const anyText = z.unknown().optional()

const MOREF_KINDS: ReadonlyMap<string, string> = new Map([
  ['vm', 'VirtualMachine'],
  ['host', 'HostSystem'],
  ['datastore', 'Datastore'],
  ['domain-c', 'ClusterComputeResource'],
  ['domain-s', 'ComputeResource'],
  ['datacenter', 'Datacenter'],
  ['group', 'Folder'],
  ['resgroup', 'ResourcePool'],
  ['network', 'Network'],
  ['dvportgroup', 'DistributedVirtualPortgroup'],
  ['dvs', 'DistributedVirtualSwitch'],
])

/** What vCenter's references look like: "vm-56", "domain-c8", "group-v3". Null where it looks like none of these. */
export function kindOfMoref(moref: string | null): string | null {
  const prefix = /^(domain-[cs]|[a-z]+)-?[a-z]?\d+$/.exec(moref ?? '')?.[1]
  return MOREF_KINDS.get(prefix ?? '') ?? null
}
