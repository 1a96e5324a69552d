// Reads values of the vSphere API from XML as strictly as the declared types allow: names, order, required fields, forms.

import { SimFault } from '../machine/types.ts'
import { dataTypeOf, type Field, isDerived } from './schema.ts'
import { type Data, data, ref, type Value } from './value.ts'
import { attributeOf, type XmlElement } from './xml.ts'

export const XSI = 'http://www.w3.org/2001/XMLSchema-instance'

/**
 * The children of an element as a data object of these fields.
 * A server of the real kind reads requests in the declared order; so does this one.
 * @throws SimFault InvalidRequest for an unknown, misplaced, missing or repeated element, or for a malformed value
 */
export function decodeFields(
  element: XmlElement,
  declared: { readonly type: string; readonly fields: readonly Field[] },
): Data {
  const found: Record<string, Value> = {}
  let at = 0
  for (const child of element.children) {
    const position = declared.fields.findIndex(({ name }) => name === child.name)
    const field = declared.fields[position]
    if (field === undefined) throw refused(`Unexpected element tag "${child.name}" seen in "${declared.type}"`)
    if (position < at) throw refused(`Element tag "${child.name}" of "${declared.type}" stands out of order`)
    at = position
    const earlier = found[field.name]
    if (field.array) found[field.name] = [...(Array.isArray(earlier) ? earlier : []), decodeOne(child, field)]
    else if (earlier !== undefined) throw refused(`Element tag "${child.name}" of "${declared.type}" stands twice`)
    else found[field.name] = decodeOne(child, field)
  }
  const missing = declared.fields.find(({ name, optional, array }) => !optional && !array && found[name] === undefined)
  if (missing !== undefined) throw refused(`Required parameter ${missing.name} of "${declared.type}" is missing`)
  return data(declared.type, found)
}

/** The element's own type by xsi:type, whatever the prefixes, or null. */
export function typeNameOf(element: XmlElement): string | null {
  const name = attributeOf(element, { name: 'type', namespace: XSI })
  return name === null ? null : name.slice(name.indexOf(':') + 1)
}

function decodeOne(element: XmlElement, field: Field): Value {
  if (attributeOf(element, { name: 'nil', namespace: XSI }) === 'true') {
    throw refused(`Element tag "${element.name}" is nil: an unset field is left out`)
  }
  if (field.reference) return decodeRef(element, field.type)
  const named = typeNameOf(element)
  const type = field.type === 'anyType' ? (named ?? 'string') : field.type
  if (type === 'ManagedObjectReference') return decodeRef(element, 'ManagedObject')
  if (dataTypeOf(type) !== null) {
    const actual = dataTypeOf(named ?? type)
    if (actual === null) throw refused(`Type "${named}" of "${element.name}" is not known`)
    if (!isDerived(actual.name, type)) throw refused(`"${element.name}" is a ${type}, not a ${actual.name}`)
    return decodeFields(element, { type: actual.name, fields: actual.fields })
  }
  // A type that the tables leave out, because no simulated object has it: its content is not looked at.
  if (element.children.length > 0) return data(named ?? type)
  return decodePlain(element, type)
}

/** Also for _this. */
export function decodeRef(element: XmlElement, declared: string): Value {
  const type = attributeOf(element, { name: 'type', namespace: '' })
  if (type === null) throw refused(`Reference "${element.name}" says no type`)
  if (!isDerived(type, declared) && type !== declared) {
    throw refused(`"${element.name}" refers to a ${declared}, not to a ${type}`)
  }
  return ref(type, element.text.trim())
}

function decodePlain(element: XmlElement, type: string): Value {
  const text = element.text
  switch (type) {
    case 'boolean':
      if (text === 'true' || text === '1') return true
      if (text === 'false' || text === '0') return false
      throw refused(`"${element.name}" is a boolean, not "${text}"`)
    case 'byte':
    case 'short':
    case 'int':
    case 'long': {
      const value = Number(text)
      if (!/^[+-]?[0-9]+$/.test(text.trim()) || !Number.isSafeInteger(value)) {
        throw refused(`"${element.name}" is a ${type}, not "${text}"`)
      }
      return value
    }
    case 'double':
    case 'float':
      return Number(text)
    case 'dateTime': {
      const value = new Date(text)
      if (Number.isNaN(value.getTime())) throw refused(`"${element.name}" is a time, not "${text}"`)
      return value
    }
    case 'base64Binary':
      return new Uint8Array(Buffer.from(text, 'base64'))
    default:
      return text
  }
}

function refused(message: string): SimFault {
  return new SimFault('InvalidRequest', message)
}
