// The SOAP 1.1 envelope around a call, a result and a fault. What is inside is read and written elsewhere.

import { malformed } from '../../lib/base/errors.ts'
import { encodeValue, escapeXml } from './encode.ts'
import type { Field } from './schema.ts'
import type { Data, Value } from './value.ts'
import { parseXml, type XmlElement } from './xml.ts'

const SOAP = 'http://schemas.xmlsoap.org/soap/envelope/'
const OPEN =
  '<?xml version="1.0" encoding="UTF-8"?>\n' +
  `<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:soapenv="${SOAP}"` +
  ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n<soapenv:Body>\n'
const CLOSE = '\n</soapenv:Body>\n</soapenv:Envelope>'

/** The one element inside the body: its name is the method. @throws BackupError `malformed` */
export function parseCall(text: string): XmlElement {
  const envelope = parseXml(text)
  const body = envelope.children.find(({ name, namespace }) => name === 'Body' && namespace === SOAP)
  const call = body?.children[0]
  if (envelope.name !== 'Envelope' || envelope.namespace !== SOAP || call === undefined) {
    throw malformed('SOAP request', envelope.name, 'an Envelope with a Body and a call is needed')
  }
  return call
}

/** A null result, or an empty array, gives a response without returnval. */
export function resultEnvelope(
  method: string,
  result: { readonly value: Value | null; readonly declared: Field },
): string {
  const content = result.value === null ? '' : encodeValue('returnval', result.value, result.declared)
  return `${OPEN}<${method}Response xmlns="urn:vim25">${content}</${method}Response>${CLOSE}`
}

/** A fault with its typed detail, as servers send it with HTTP status 500. */
export function faultEnvelope(fault: Data, message: string): string {
  const place = { type: 'MethodFault', reference: false, array: false }
  const detail = encodeValue(`${fault.type}Fault`, fault, place).replace(
    `<${fault.type}Fault`,
    `<${fault.type}Fault xmlns="urn:vim25"`,
  )
  return (
    `${OPEN}<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>${escapeXml(message)}</faultstring>` +
    `<detail>${detail}</detail></soapenv:Fault>${CLOSE}`
  )
}
