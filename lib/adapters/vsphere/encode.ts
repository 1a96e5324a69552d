// Our request values -> the object that the soap package writes as XML, with every element in schema order.

import { assert, malformed } from '../../base/errors.ts'
import { elementsOf } from './schema.ts'
import { isRecord, isRef, type VimRecord, type VimValue } from './values.ts'

type SoapObject = { readonly [name: string]: SoapValue }
type SoapValue = string | number | boolean | SoapObject | readonly SoapValue[]

/** The arguments of a method, `_this` included. */
export function encodeArguments(method: string, args: VimRecord): SoapObject {
  return encodeRecord(args, `${method}RequestType`)
}

function encodeValue(value: VimValue, declaredType: string): SoapValue {
  if (typeof value === 'string') return encodeText(value)
  if (typeof value === 'number') {
    assert(Number.isSafeInteger(value), 'a number sent to vCenter is whole and safe')
    return value
  }
  if (typeof value === 'boolean') return value
  if (isRef(value)) return { attributes: { type: value.type }, $value: value.value }
  if (isRecord(value)) return encodeRecord(value, declaredType)
  return value.map((member) => encodeValue(member, declaredType))
}

function encodeRecord({ type, fields }: VimRecord, declaredType: string): SoapObject {
  const attributes = type === null ? {} : { attributes: { 'xsi:type': type } }
  const plain = fields.get('$value')
  if (typeof plain === 'string') return { ...attributes, $xml: escapeXml(plain) }
  const order = elementsOf(type ?? declaredType)
  const names = new Set(order.map(({ name }) => name))
  for (const name of fields.keys()) assert(names.has(name), `"${name}" is an element of "${type ?? declaredType}"`)
  const encoded: Record<string, SoapValue> = {}
  for (const element of order) {
    const value = fields.get(element.name)
    if (value !== undefined) encoded[element.name] = encodeValue(value, element.type)
  }
  return { ...attributes, ...encoded }
}

/**
 * The soap package escapes texts, except those that look like a CDATA section, and carriage returns, which a reader of XML
 * takes for line feeds: these are escaped here.
 */
function encodeText(text: string): SoapValue {
  refuseControlCharacters(text)
  return text.startsWith('<![CDATA[') || text.includes('\r') ? { $xml: escapeXml(text) } : text
}

function escapeXml(text: string): string {
  refuseControlCharacters(text)
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\r', '&#13;')
}

/** XML 1.0 cannot carry most control characters, escaped or not. The text may be a secret and is not shown. */
function refuseControlCharacters(text: string): void {
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text)) {
    throw malformed('text for vCenter', '…', 'must not contain control characters')
  }
}
