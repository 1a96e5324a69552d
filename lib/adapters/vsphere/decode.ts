// What the soap package read from a reply -> our values: xsi:type by namespace, references, lists, checked numbers.

import { isRecord, parseBoolean, parseWhole, ref, replyMalformed, type VimRecord, type VimValue } from './values.ts'

const XSI = 'http://www.w3.org/2001/XMLSchema-instance'
const wholeTypes = new Set(['byte', 'short', 'int', 'long', 'integer'])
const textTypes = new Set(['string', 'dateTime', 'anyURI', 'base64Binary', 'double', 'float'])

/** Turns texts of the declared XML Schema types into values; given to the soap package. */
export const deserializers = {
  byte: (text: string) => parseWhole(text, 'byte'),
  short: (text: string) => parseWhole(text, 'short'),
  int: (text: string) => parseWhole(text, 'int'),
  long: (text: string) => parseWhole(text, 'long'),
  boolean: (text: string) => parseBoolean(text, 'boolean'),
  dateTime: (text: string) => text,
}

/** The prefixes that a reply binds to the XML Schema instance namespace, whatever the server calls them. */
export function xsiPrefixes(xml: string): ReadonlySet<string> {
  const found = xml.matchAll(/xmlns:([^\s=]+)\s*=\s*["']([^"']*)["']/g)
  return new Set([...found].filter(([, , uri]) => uri === XSI).map(([, prefix = '']) => prefix))
}

/** @param parsed what the soap package gave: plain objects, arrays, texts, numbers, booleans, null for an empty element */
export function decodeValue(parsed: unknown, prefixes: ReadonlySet<string>): VimValue {
  if (typeof parsed === 'string' || typeof parsed === 'number' || typeof parsed === 'boolean') return parsed
  if (Array.isArray(parsed)) return parsed.map((member) => decodeValue(member, prefixes))
  if (parsed === null || parsed === undefined) return { kind: 'record', type: null, fields: new Map() }
  if (typeof parsed === 'object') return decodeObject(Object.entries(parsed), prefixes)
  throw replyMalformed(`it has a value of kind "${typeof parsed}"`)
}

function decodeObject(entries: readonly (readonly [string, unknown])[], prefixes: ReadonlySet<string>): VimValue {
  const fields = new Map<string, VimValue>()
  let attributes: ReadonlyMap<string, string> = new Map()
  let content: unknown
  for (const [name, value] of entries) {
    if (name === 'attributes') attributes = attributesOf(value)
    else if (name === '$value') content = value
    else fields.set(name, decodeValue(value, prefixes))
  }
  const type = xsiTypeOf(attributes, prefixes)
  const referred = attributes.get('type')
  if (referred !== undefined && fields.size === 0) return ref(referred, String(content ?? '').trim())
  if (content !== undefined || (type !== null && textTypes.has(type))) return plainValue(content ?? '', type)
  if (type?.startsWith('ArrayOf')) return membersOf(fields)
  return { kind: 'record', type, fields } satisfies VimRecord
}

/** A value of an anyType element: its xsi:type says what its text means; types of other namespaces are enumerations. */
function plainValue(content: unknown, type: string | null): VimValue {
  if (typeof content === 'number' || typeof content === 'boolean') return content
  const text = String(content)
  if (type === 'boolean') return parseBoolean(text, type)
  return type !== null && wholeTypes.has(type) ? parseWhole(text, type) : text
}

function membersOf(fields: ReadonlyMap<string, VimValue>): readonly VimValue[] {
  const members = [...fields.values()].flatMap((value) => (Array.isArray(value) ? value : [value]))
  return members.filter((member) => !(isRecord(member) && member.type === null && member.fields.size === 0))
}

function xsiTypeOf(attributes: ReadonlyMap<string, string>, prefixes: ReadonlySet<string>): string | null {
  for (const [name, value] of attributes) {
    const [prefix = '', local] = name.split(':')
    if (local === 'type' && prefixes.has(prefix)) return value.replace(/^.*:/, '').trim()
  }
  return null
}

function attributesOf(value: unknown): ReadonlyMap<string, string> {
  if (typeof value !== 'object' || value === null) return new Map()
  return new Map(Object.entries(value).map(([name, text]) => [name, String(text)]))
}
