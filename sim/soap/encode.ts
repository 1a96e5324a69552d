// Writes values of the vSphere API as XML, in the declared order, with xsi:type wherever the declared type says too little.

import { assert } from '../../lib/base/errors.ts'
import { dataTypeOf, type Field, isDerived, isPrimitive } from './schema.ts'
import { type Data, isData, isList, isRef, isTyped, type Value } from './value.ts'

export type Place = Pick<Field, 'type' | 'reference' | 'array'>

/**
 * One element `tag` for a value, or one an item for an array.
 * @throws when the value does not fit its declared place: a fault of the simulator, not of the caller
 */
export function encodeValue(tag: string, value: Value, place: Place): string {
  if (!place.array) return encodeOne(tag, value, { ...place, named: false })
  assert(isList(value), `"${tag}" is an array of ${place.type}`)
  return value.map((item) => encodeOne(tag, item, { ...place, named: false })).join('')
}

/** Text for between tags and in attributes; characters that XML 1.0 cannot carry become "?". */
export function escapeXml(text: string): string {
  return text
    .replaceAll(/[\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{fffe}\u{ffff}]/gu, '?')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\r', '&#xD;')
}

/** `named`: whether xsi:type is written even where the declared type would do. */
type Naming = { readonly type: string; readonly reference: boolean; readonly named: boolean }

function encodeOne(tag: string, value: Value, place: Naming): string {
  if (place.type === 'anyType') return encodeAny(tag, value)
  if (place.reference) {
    assert(isRef(value), `"${tag}" is a reference to a ${place.type}`)
    assert(isDerived(value.type, place.type), `"${tag}" refers to a ${place.type}, not to a ${value.type}`)
    const named = place.named ? ' xsi:type="ManagedObjectReference"' : ''
    return `<${tag} type="${value.type}"${named}>${escapeXml(value.id)}</${tag}>`
  }
  if (isData(value)) {
    assert(isDerived(value.type, place.type), `"${tag}" is a ${place.type}, not a ${value.type}`)
    const named = place.named || value.type !== place.type ? ` xsi:type="${value.type}"` : ''
    return `<${tag}${named}>${encodeFields(value)}</${tag}>`
  }
  const named = place.named ? ` xsi:type="${isPrimitive(place.type) ? 'xsd:' : ''}${place.type}"` : ''
  return `<${tag}${named}>${encodePlain(tag, value, place.type)}</${tag}>`
}

function encodeFields(value: Data): string {
  const type = dataTypeOf(value.type)
  assert(type !== null, `data type "${value.type}" stands in the tables`)
  const known = new Set(type.fields.map(({ name }) => name))
  for (const name of Object.keys(value.fields)) assert(known.has(name), `"${value.type}" declares a field "${name}"`)
  return type.fields
    .map((field) => {
      const content = value.fields[field.name] ?? null
      if (content === null) {
        assert(field.optional || field.array, `field "${field.name}" of "${value.type}" is set`)
        return ''
      }
      return encodeValue(field.name, content, field)
    })
    .join('')
}

/** A place that says nothing: the type stands beside the value, of an array also beside each item. */
function encodeAny(tag: string, value: Value): string {
  if (!isTyped(value)) return encodeOne(tag, value, { ...placeOf(value), named: true })
  const place = { type: value.type, reference: value.reference, named: true }
  if (!value.array) return encodeOne(tag, value.value, place)
  assert(isList(value.value), `"${tag}" is an array of ${value.type}`)
  const item = value.reference ? 'ManagedObjectReference' : value.type
  const items = value.value.map((one) => encodeOne(item, one, place)).join('')
  return `<${tag} xsi:type="ArrayOf${item.slice(0, 1).toUpperCase()}${item.slice(1)}">${items}</${tag}>`
}

function placeOf(value: Value): { readonly type: string; readonly reference: boolean } {
  if (isRef(value)) return { type: value.type, reference: true }
  if (isData(value)) return { type: value.type, reference: false }
  if (typeof value === 'boolean') return { type: 'boolean', reference: false }
  if (typeof value === 'number') return { type: 'int', reference: false }
  if (value instanceof Date) return { type: 'dateTime', reference: false }
  return { type: 'string', reference: false }
}

function encodePlain(tag: string, value: Value, type: string): string {
  switch (type) {
    case 'boolean':
      assert(typeof value === 'boolean', `"${tag}" is a boolean`)
      return String(value)
    case 'byte':
    case 'short':
    case 'int':
    case 'long':
      assert(typeof value === 'number' && Number.isSafeInteger(value), `"${tag}" is a whole number`)
      return String(value)
    case 'double':
    case 'float':
      assert(typeof value === 'number', `"${tag}" is a number`)
      return String(value)
    case 'dateTime':
      assert(value instanceof Date, `"${tag}" is a time`)
      return value.toISOString()
    case 'base64Binary':
      assert(value instanceof Uint8Array, `"${tag}" is bytes`)
      return Buffer.from(value).toString('base64')
    default:
      assert(typeof value === 'string', `"${tag}" is a text of type ${type}`)
      return escapeXml(value)
  }
}
