// Values of the vim25 API as we hold them, in requests and in replies, and the readers of replies. No XML here.

import { BackupError } from '../../base/errors.ts'
import { type Moref, parseMoref } from '../../model/ids.ts'

/** A managed object reference: its type, for example "VirtualMachine", and its opaque value. */
export type Ref = { readonly kind: 'ref'; readonly type: string; readonly value: Moref }

/** A data object; `type` is its xsi:type where one was given or must be sent. */
export type VimRecord = {
  readonly kind: 'record'
  readonly type: string | null
  readonly fields: ReadonlyMap<string, VimValue>
}

export type VimValue = string | number | boolean | Ref | VimRecord | readonly VimValue[]

export function ref(type: string, value: string): Ref {
  return { kind: 'ref', type, value: parseMoref(value) }
}

export type Fields = Readonly<Record<string, VimValue | undefined>>

/** A data object of the type its element declares. Fields may come in any order; undefined ones are left out. */
export function record(fields: Fields): VimRecord {
  return { kind: 'record', type: null, fields: mapOf(fields) }
}

/** A data object whose xsi:type is sent: a subtype of what its element declares. */
export function typed(type: string, fields: Fields): VimRecord {
  return { kind: 'record', type, fields: mapOf(fields) }
}

/** A string for an element of type anyType. */
export function anyText(text: string): VimRecord {
  return typed('xsd:string', { $value: text })
}

export function isRecord(value: VimValue | undefined): value is VimRecord {
  return typeof value === 'object' && 'kind' in value && value.kind === 'record'
}

export function isRef(value: VimValue | undefined): value is Ref {
  return typeof value === 'object' && 'kind' in value && value.kind === 'ref'
}

/** The text of a field; null when the server did not set it. */
export function textAt(from: VimRecord | null, name: string): string | null {
  const value = from?.fields.get(name)
  if (value === undefined) return null
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (isRecord(value) && value.fields.size === 0) return ''
  throw replyMalformed(`the field "${name}" is not a text`)
}

/** A whole, safe number; null when the server did not set it. */
export function numberAt(from: VimRecord | null, name: string): number | null {
  const value = from?.fields.get(name)
  if (value === undefined) return null
  return typeof value === 'number' ? value : parseWhole(textAt(from, name) ?? '', name)
}

export function booleanAt(from: VimRecord | null, name: string): boolean | null {
  const value = from?.fields.get(name)
  if (value === undefined) return null
  if (typeof value === 'boolean') return value
  return parseBoolean(textAt(from, name) ?? '', name)
}

export function recordAt(from: VimRecord | null, name: string): VimRecord | null {
  const value = from?.fields.get(name)
  if (value === undefined) return null
  if (isRecord(value)) return value
  throw replyMalformed(`the field "${name}" is not a data object`)
}

export function refAt(from: VimRecord | null, name: string): Ref | null {
  const value = from?.fields.get(name)
  if (value === undefined) return null
  if (isRef(value)) return value
  throw replyMalformed(`the field "${name}" is not a managed object reference`)
}

/** The members of a field that may stand any number of times; empty when the server did not set it. */
export function listAt(from: VimRecord | null, name: string): readonly VimValue[] {
  return listOf(from?.fields.get(name))
}

export function recordsAt(from: VimRecord | null, name: string): readonly VimRecord[] {
  return recordsOf(from?.fields.get(name))
}

export function listOf(value: VimValue | undefined): readonly VimValue[] {
  if (value === undefined) return []
  return isList(value) ? value : [value]
}

export function recordsOf(value: VimValue | undefined): readonly VimRecord[] {
  return listOf(value).filter(isRecord)
}

export function refsOf(value: VimValue | undefined): readonly Ref[] {
  return listOf(value).filter(isRef)
}

export function textsOf(value: VimValue | undefined): readonly string[] {
  return listOf(value).filter((member) => typeof member === 'string')
}

/** What must be there: a value that is null is a reply we cannot use. */
export function needed<Value>(value: Value | null, what: string): Value {
  if (value === null) throw replyMalformed(`it has no ${what}`)
  return value
}

/** xsd:int, xsd:long and the like. @throws BackupError `vcenter-reply-malformed` beyond the safe integers too */
export function parseWhole(text: string, what: string): number {
  const number = /^\s*[+-]?[0-9]+\s*$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(number))
    throw replyMalformed(`"${text}" in "${what}" is not a whole number that we can hold`)
  return number
}

export function parseBoolean(text: string, what: string): boolean {
  const word = text.trim()
  if (word === 'true' || word === '1') return true
  if (word === 'false' || word === '0') return false
  throw replyMalformed(`"${text}" in "${what}" is neither true nor false`)
}

export function replyMalformed(reason: string, cause?: unknown): BackupError {
  return new BackupError(`Cannot read the reply of vCenter: ${reason}`, {
    code: 'vcenter-reply-malformed',
    retry: 'later',
    hint: 'Check that the address is that of a vCenter or ESXi server and that no proxy stands before it',
    cause,
  })
}

function isList(value: VimValue): value is readonly VimValue[] {
  return Array.isArray(value)
}

function mapOf(fields: Fields): ReadonlyMap<string, VimValue> {
  const map = new Map<string, VimValue>()
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) map.set(name, value)
  return map
}
