// Values over the wire by the operation schemas that ship in the SDK's clients: nothing unknown, nothing missing, nothing of another type.

import { NormalizedSchema } from '@smithy/core/schema'
import type { $SchemaRef } from '@smithy/types'

/** An object as it is inside a server: blobs are bytes, timestamps are Dates. */
export type Shape = Readonly<Record<string, unknown>>

/** What a request lacks, or has too much; `member` is a path, for example "overrides.containerOverrides[0].name". */
export class SchemaFault extends Error {
  readonly kind: 'missing' | 'unknown' | 'type'
  readonly member: string
  constructor(kind: SchemaFault['kind'], member: string, message: string) {
    super(message)
    this.kind = kind
    this.member = member
  }
}

/** A struct of a request whose members came one by one (path, query, body); absent ones are undefined. @throws SchemaFault */
export function decodeStruct(schema: NormalizedSchema, values: Shape, at = ''): Shape {
  const members = new Map(schema.structIterator())
  for (const name of Object.keys(values)) {
    if (!members.has(name)) throw new SchemaFault('unknown', joined(at, name), `Unknown member "${joined(at, name)}"`)
  }
  const result: Record<string, unknown> = {}
  for (const [name, member] of members) {
    const value = values[name]
    if (value !== undefined && value !== null) result[name] = decoded(member, value, joined(at, name))
  }
  for (const name of requiredOf(schema)) {
    if (result[name] === undefined) {
      throw new SchemaFault('missing', joined(at, name), `Missing required member "${joined(at, name)}"`)
    }
  }
  return result
}

/** A value of a reply to JSON. A server that answers what no schema knows is broken: it throws. */
export function encodeJson(schema: $SchemaRef, value: unknown): unknown {
  return encoded(NormalizedSchema.of(schema), value, '')
}

/** Static schemas count the required members, which come first: [kind, namespace, name, traits, names, members, count]. */
function requiredOf(schema: NormalizedSchema): readonly string[] {
  const raw: unknown = schema.getSchema()
  if (!Array.isArray(raw)) return []
  const names: readonly string[] = raw[4] ?? []
  return names.slice(0, typeof raw[6] === 'number' ? raw[6] : 0)
}

function decoded(schema: NormalizedSchema, json: unknown, at: string): unknown {
  if (schema.isStructSchema()) return decodeStruct(schema, objectOf(json, at), at)
  if (schema.isListSchema()) {
    if (!Array.isArray(json)) throw wrongType(at, 'a list', json)
    return json.map((item, index) => decoded(schema.getValueSchema(), item, `${at}[${index}]`))
  }
  if (schema.isMapSchema()) {
    const entries = Object.entries(objectOf(json, at))
    return Object.fromEntries(
      entries.map(([key, item]) => [key, decoded(schema.getValueSchema(), item, joined(at, key))]),
    )
  }
  if (schema.isBlobSchema()) {
    const text = expect(at, 'string', json)
    const bytes = Buffer.from(text, 'base64')
    if (bytes.toString('base64') !== text) throw wrongType(at, 'base64', json)
    return new Uint8Array(bytes)
  }
  if (schema.isTimestampSchema()) return new Date(expect(at, 'number', json) * 1000)
  if (schema.isStringSchema()) return expect(at, 'string', json)
  if (schema.isBooleanSchema()) return expect(at, 'boolean', json)
  if (schema.isNumericSchema()) return expect(at, 'number', json)
  throw wrongType(at, `something this server reads (${schema.getName()})`, json)
}

function encoded(schema: NormalizedSchema, value: unknown, at: string): unknown {
  if (schema.isStructSchema()) {
    const members = new Map(schema.structIterator())
    const entries = Object.entries(objectOf(value, at)).filter(([, one]) => one !== undefined)
    return Object.fromEntries(
      entries.map(([name, one]) => {
        const member = members.get(name)
        if (member === undefined)
          throw new Error(`The server answers with "${joined(at, name)}", which no schema knows`)
        return [name, encoded(member, one, joined(at, name))]
      }),
    )
  }
  if (schema.isListSchema()) {
    if (!Array.isArray(value)) throw wrongType(at, 'a list', value)
    return value.map((item, index) => encoded(schema.getValueSchema(), item, `${at}[${index}]`))
  }
  if (schema.isMapSchema()) {
    const entries = Object.entries(objectOf(value, at))
    return Object.fromEntries(
      entries.map(([key, item]) => [key, encoded(schema.getValueSchema(), item, joined(at, key))]),
    )
  }
  if (schema.isBlobSchema() && value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (schema.isTimestampSchema() && value instanceof Date) return value.getTime() / 1000
  if (schema.isStringSchema()) return expect(at, 'string', value)
  if (schema.isBooleanSchema()) return expect(at, 'boolean', value)
  if (schema.isNumericSchema()) return expect(at, 'number', value)
  throw wrongType(at, `something this server writes (${schema.getName()})`, value)
}

function objectOf(value: unknown, at: string): Shape {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongType(at, 'an object', value)
  return value as Shape
}

type Simple = { readonly string: string; readonly number: number; readonly boolean: boolean }

function expect<Name extends keyof Simple>(at: string, type: Name, value: unknown): Simple[Name] {
  if (typeof value !== type) throw wrongType(at, `a ${type}`, value)
  return value as Simple[Name]
}

function wrongType(at: string, needed: string, value: unknown): SchemaFault {
  return new SchemaFault('type', at, `"${at}" must be ${needed}, not ${JSON.stringify(value)?.slice(0, 60)}`)
}

function joined(at: string, name: string): string {
  return at === '' ? name : `${at}.${name}`
}
