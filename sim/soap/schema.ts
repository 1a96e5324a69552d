// What the vSphere API declares: data types, managed types, methods. Reads the type tables; knows no values and no XML.
//
// Notation of a table: a line that starts in column 0 opens a type, "Name(Base)" and then its own fields; lines that
// start with blanks go on; "  .Method(parameters) result privilege" belongs to the managed type above it. A field is
// "name:Type", with "[]" for an array, "?" for optional, "@" before a managed type (its value is a reference).

import { assert } from '../../lib/base/errors.ts'
import { MANAGED_TYPES } from './managed-types.ts'
import { CORE_TYPES } from './types-core.ts'
import { DEVICE_TYPES } from './types-device.ts'
import { EVENT_TYPES } from './types-events.ts'
import { FAULT_TYPES } from './types-faults.ts'
import { GUEST_TYPES } from './types-guest.ts'
import { HOST_TYPES } from './types-host.ts'
import { MACHINE_TYPES } from './types-machine.ts'
import { PERFORMANCE_TYPES } from './types-performance.ts'

export type Field = {
  readonly name: string
  /** Without marks: "VirtualDevice", "int"; of a reference the managed type. */
  readonly type: string
  readonly reference: boolean
  readonly array: boolean
  readonly optional: boolean
}

export type DataType = {
  readonly name: string
  readonly base: string | null
  /** The base's fields first, as they stand on the wire. */
  readonly fields: readonly Field[]
}

export type Method = {
  readonly name: string
  readonly parameters: readonly Field[]
  readonly result: Field
  /** Null: it depends on the arguments. */
  readonly privilege: string | null
}

export type ManagedType = {
  readonly name: string
  readonly base: string | null
  readonly properties: readonly Field[]
  readonly methods: ReadonlyMap<string, Method>
}

const PRIMITIVES: ReadonlySet<string> = new Set([
  'string',
  'int',
  'long',
  'short',
  'byte',
  'boolean',
  'double',
  'float',
  'dateTime',
  'base64Binary',
  'anyURI',
])

const dataTypes = readDataTypes(
  [CORE_TYPES, MACHINE_TYPES, DEVICE_TYPES, HOST_TYPES, FAULT_TYPES, GUEST_TYPES, PERFORMANCE_TYPES, EVENT_TYPES].join(
    '\n',
  ),
)
const managedTypes = readManagedTypes(MANAGED_TYPES)

/** Null for a type that no table holds (an enumeration, or something no simulated object has). */
export function dataTypeOf(name: string): DataType | null {
  return dataTypes.get(name) ?? null
}

export function managedTypeOf(name: string): ManagedType | null {
  return managedTypes.get(name) ?? null
}

/** Every privilege that a method of the tables asks for. */
export function privilegesOfMethods(): readonly string[] {
  const all = [...managedTypes.values()].flatMap((type) => [...type.methods.values()].map((method) => method.privilege))
  return [...new Set(all.filter((privilege) => privilege !== null))].toSorted()
}

export function isPrimitive(name: string): boolean {
  return PRIMITIVES.has(name)
}

/** Whether `name` is `ancestor` or derived from it, among data types as among managed types. */
export function isDerived(name: string, ancestor: string): boolean {
  if (ancestor === 'ManagedObject' && managedTypes.has(name)) return true
  if (ancestor === 'DynamicData' && dataTypes.has(name)) return true
  for (let type: string | null = name; type !== null; type = baseOf(type)) if (type === ancestor) return true
  return false
}

function baseOf(name: string): string | null {
  return dataTypes.get(name)?.base ?? managedTypes.get(name)?.base ?? null
}

type Entry = {
  readonly name: string
  readonly base: string | null
  readonly fields: readonly Field[]
  readonly methods: readonly string[]
}

function readDataTypes(table: string): ReadonlyMap<string, DataType> {
  const types = new Map<string, DataType>()
  const waiting = entriesOf(table)
  for (const entry of sortedByBase(waiting)) {
    const inherited = entry.base === null ? [] : (types.get(entry.base)?.fields ?? [])
    assert(!types.has(entry.name), `type "${entry.name}" stands once in the tables`)
    types.set(entry.name, { name: entry.name, base: entry.base, fields: [...inherited, ...entry.fields] })
  }
  return types
}

function readManagedTypes(table: string): ReadonlyMap<string, ManagedType> {
  const types = new Map<string, ManagedType>()
  for (const entry of sortedByBase(entriesOf(table))) {
    const base = entry.base === null ? undefined : types.get(entry.base)
    const root = entry.name === 'ManagedObject' ? undefined : types.get('ManagedObject')
    const parent = base ?? root
    types.set(entry.name, {
      name: entry.name,
      base: entry.base,
      properties: [...(parent?.properties ?? []), ...entry.fields],
      methods: new Map([
        ...(parent?.methods ?? []),
        ...entry.methods.map((text) => readMethod(text)).map((method) => [method.name, method] as const),
      ]),
    })
  }
  return types
}

function sortedByBase(entries: readonly Entry[]): readonly Entry[] {
  const done = new Set<string>()
  const sorted: Entry[] = []
  const byName = new Map(entries.map((entry) => [entry.name, entry]))
  const visit = (entry: Entry) => {
    if (done.has(entry.name)) return
    done.add(entry.name)
    const base = entry.base === null ? undefined : byName.get(entry.base)
    if (base !== undefined) visit(base)
    sorted.push(entry)
  }
  for (const entry of entries) visit(entry)
  return sorted
}

function entriesOf(table: string): readonly Entry[] {
  return table
    .replaceAll(/\n {4,}/g, ' ')
    .split(/\n(?=\w)/)
    .filter((block) => block.trim() !== '')
    .map((block) => {
      const [head = '', ...rest] = block.trim().split(/\n {2}(?=\.)/)
      const match = /^(\w+)\((\w*)\)\s*(.*)$/s.exec(head)
      assert(match !== null, `a type table entry reads "Name(Base) fields", not "${head}"`)
      const [, name = '', base = '', fields = ''] = match
      const isRoot = base === '' || base === 'DynamicData' || base === 'ManagedObject'
      return { name, base: isRoot ? null : base, fields: readFields(fields), methods: rest }
    })
}

function readFields(text: string): readonly Field[] {
  return text
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => {
      const [name = '', type = ''] = word.split(':')
      assert(name !== '' && type !== '', `a field reads "name:Type", not "${word}"`)
      return readField(name, type)
    })
}

function readField(name: string, text: string): Field {
  const match = /^(@?)(\w+)((?:\[\])?)(\??)$/.exec(text)
  assert(match !== null, `a type reads "@Type[]?", not "${text}"`)
  const [, mark = '', type = '', brackets = '', question = ''] = match
  return { name, type, reference: mark !== '', array: brackets !== '', optional: question !== '' }
}

function readMethod(text: string): Method {
  const match = /^\.(\w+)\((.*?)\)\s+(\S+)\s+(\S+)$/s.exec(text.trim())
  assert(match !== null, `a method reads ".Name(parameters) result privilege", not "${text}"`)
  const [, name = '', parameters = '', result = '', privilege = ''] = match
  return {
    name,
    parameters: readFields(parameters),
    result: readField('returnval', result),
    privilege: privilege === '-' ? null : privilege,
  }
}
