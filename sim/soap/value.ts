// Values of the vSphere API as this simulator holds them, and how they are read field by field. No XML.

import { assert } from '../../lib/base/errors.ts'
import { SimFault } from '../machine/types.ts'

/** A managed object reference: an opaque id and its managed type. */
export type Ref = { readonly kind: 'ref'; readonly type: string; readonly id: string }

/** A data object. A field that is undefined or null is unset. */
export type Data = {
  readonly kind: 'data'
  readonly type: string
  readonly fields: Readonly<Record<string, Value | undefined | null>>
}

/** A value of a place declared anyType, with the type that the reader must be told. */
export type Typed = {
  readonly kind: 'typed'
  /** A data type, managed type, enumeration or primitive. */
  readonly type: string
  readonly reference: boolean
  readonly array: boolean
  readonly value: Value
}

export type Value = string | number | boolean | Date | Uint8Array | Ref | Data | Typed | readonly Value[]

export function ref(type: string, id: string): Ref {
  return { kind: 'ref', type, id }
}

export function data(type: string, fields: Data['fields'] = {}): Data {
  return { kind: 'data', type, fields }
}

/** A long in a place declared anyType; a plain number there is an int. */
export function typed(type: string, value: Value): Typed {
  return { kind: 'typed', type, reference: false, array: false, value }
}

export function isRef(value: Value | undefined | null): value is Ref {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'ref'
}

export function isData(value: Value | undefined | null): value is Data {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'data'
}

export function isTyped(value: Value | undefined | null): value is Typed {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'typed'
}

export function isList(value: Value | undefined | null): value is readonly Value[] {
  return Array.isArray(value)
}

export function textAt(from: Data, field: string): string {
  return optionalTextAt(from, field) ?? missing(field)
}

export function optionalTextAt(from: Data, field: string): string | null {
  const value = from.fields[field] ?? null
  if (value === null) return null
  assert(typeof value === 'string', `field "${field}" of "${from.type}" is a text`)
  return value
}

export function numberAt(from: Data, field: string): number {
  return optionalNumberAt(from, field) ?? missing(field)
}

export function optionalNumberAt(from: Data, field: string): number | null {
  const value = from.fields[field] ?? null
  if (value === null) return null
  assert(typeof value === 'number', `field "${field}" of "${from.type}" is a number`)
  return value
}

/** Unset counts as false. */
export function flagAt(from: Data, field: string): boolean {
  return from.fields[field] === true
}

export function optionalFlagAt(from: Data, field: string): boolean | null {
  const value = from.fields[field] ?? null
  return typeof value === 'boolean' ? value : null
}

export function refAt(from: Data, field: string): Ref {
  return optionalRefAt(from, field) ?? missing(field)
}

export function optionalRefAt(from: Data, field: string): Ref | null {
  const value = from.fields[field] ?? null
  return isRef(value) ? value : null
}

export function dataAt(from: Data, field: string): Data {
  return optionalDataAt(from, field) ?? missing(field)
}

export function optionalDataAt(from: Data, field: string): Data | null {
  const value = from.fields[field] ?? null
  return isData(value) ? value : null
}

/** The data objects of an array; unset is empty. */
export function listAt(from: Data, field: string): readonly Data[] {
  const value = from.fields[field] ?? []
  return isList(value) ? value.filter((item) => isData(item)) : []
}

export function textsAt(from: Data, field: string): readonly string[] {
  const value = from.fields[field] ?? []
  return isList(value) ? value.filter((item) => typeof item === 'string') : []
}

export function refsAt(from: Data, field: string): readonly Ref[] {
  const value = from.fields[field] ?? []
  return isList(value) ? value.filter((item) => isRef(item)) : []
}

function missing(field: string): never {
  throw new SimFault('InvalidArgument', `A specified parameter was not correct: ${field}`, { invalidProperty: field })
}
