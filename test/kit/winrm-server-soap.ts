// Envelopes of WS-Management on the serving side: what a request must have (DSP0226, MS-WSMV 2.2.4 and 3.1.4), and faults as
// WinRM words them.

import { randomUUID } from 'node:crypto'
import { type DomElement, parseDom } from './winrm-server-xml.ts'

export const NS = {
  s: 'http://www.w3.org/2003/05/soap-envelope',
  a: 'http://schemas.xmlsoap.org/ws/2004/08/addressing',
  x: 'http://schemas.xmlsoap.org/ws/2004/09/transfer',
  w: 'http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd',
  p: 'http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd',
  rsp: 'http://schemas.microsoft.com/wbem/wsman/1/windows/shell',
  f: 'http://schemas.microsoft.com/wbem/wsman/1/wsmanfault',
} as const

const ANONYMOUS = `${NS.a}/role/anonymous`
const CMD_RESOURCE = `${NS.rsp}/cmd`

export type WsmanRequest = {
  readonly action: string
  readonly messageId: string
  readonly shellId: string | null
  readonly options: ReadonlyMap<string, string>
  readonly operationTimeoutMs: number
  readonly replyBytesMax: number
  readonly body: DomElement
}

/** A fault, thrown by whoever finds it. */
export class WsmanError extends Error {
  readonly side: 'Sender' | 'Receiver'
  readonly subcode: string
  readonly code: number

  constructor(fault: { side: 'Sender' | 'Receiver'; subcode: string; code: number; message: string }) {
    super(fault.message)
    this.side = fault.side
    this.subcode = fault.subcode
    this.code = fault.code
  }
}

export const faults = {
  invalid: (message: string) =>
    new WsmanError({ side: 'Sender', subcode: 'w:SchemaValidationError', code: 2150858817, message }),
  header: (message: string) =>
    new WsmanError({ side: 'Sender', subcode: 'a:InvalidMessageInformationHeader', code: 2150858767, message }),
  action: (action: string) =>
    new WsmanError({
      side: 'Sender',
      subcode: 'a:ActionNotSupported',
      code: 2150858752,
      message: `No action ${action}`,
    }),
  option: (name: string) =>
    new WsmanError({ side: 'Sender', subcode: 'w:InvalidOptions', code: 2150858789, message: `No option ${name}` }),
  timedOut: () =>
    new WsmanError({
      side: 'Receiver',
      subcode: 'w:TimedOut',
      code: 2150858793,
      message: 'The WS-Management service cannot complete the operation within the time specified in OperationTimeout.',
    }),
  shellLost: (id: string) =>
    new WsmanError({
      side: 'Sender',
      subcode: 'w:InvalidSelectors',
      code: 2150858843,
      message: `The request for the Windows Remote Shell with ShellId ${id} failed because the shell was not found on the server.`,
    }),
  commandLost: (id: string) =>
    new WsmanError({ side: 'Sender', subcode: 'w:InvalidParameter', code: 2150858844, message: `No command ${id}` }),
  inputClosed: () =>
    new WsmanError({
      side: 'Receiver',
      subcode: 'w:InternalError',
      code: 2147942632,
      message: 'The pipe is being closed.',
    }),
  tooLarge: (bytesMax: number) =>
    new WsmanError({
      side: 'Sender',
      subcode: 'w:EncodingLimit',
      code: 2150858999,
      message: `The WinRM client sent a request whose size exceeded the configured MaxEnvelopeSize quota of ${bytesMax} bytes.`,
    }),
  shells: (most: number) =>
    new WsmanError({
      side: 'Receiver',
      subcode: 'w:QuotaLimit',
      code: 2150859173,
      message: `The WS-Management service cannot process the request. This user is allowed a maximum number of ${most} concurrent shells, which has been exceeded.`,
    }),
  denied: () => new WsmanError({ side: 'Sender', subcode: 'w:AccessDenied', code: 5, message: 'Access is denied.' }),
}

/** @throws WsmanError */
export function readRequest(text: string): WsmanRequest {
  const envelope = parse(text)
  if (envelope.namespaceURI !== NS.s || envelope.localName !== 'Envelope')
    throw faults.invalid('not a SOAP 1.2 envelope')
  const header = only(envelope, [NS.s, 'Header'])
  const body = only(envelope, [NS.s, 'Body'])
  for (const each of elementsOf(header)) {
    const known = Object.values<string>(NS).includes(each.namespaceURI ?? '')
    if (!known && each.getAttributeNS(NS.s, 'mustUnderstand') === 'true')
      throw faults.header(`header ${each.nodeName} is not understood`)
  }
  const textOf = (name: readonly [string, string]) => (only(header, name).textContent ?? '').trim()
  if (!/^https?:\/\/[^/]+\/wsman$/.test(textOf([NS.a, 'To']))) throw faults.header('To must be the address of /wsman')
  const address = (only(only(header, [NS.a, 'ReplyTo']), [NS.a, 'Address']).textContent ?? '').trim()
  if (address !== ANONYMOUS) throw faults.header('ReplyTo must be anonymous')
  const messageId = textOf([NS.a, 'MessageID'])
  if (!/^uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(messageId))
    throw faults.header('MessageID must be a uuid')
  if (textOf([NS.w, 'ResourceURI']) !== CMD_RESOURCE) throw faults.header('ResourceURI must be the command shell')
  const replyBytesMax = Number(textOf([NS.w, 'MaxEnvelopeSize']))
  if (!Number.isInteger(replyBytesMax) || replyBytesMax < 8192)
    throw faults.header('MaxEnvelopeSize must be 8192 or more')
  const seconds = /^PT([0-9]+(?:\.[0-9]+)?)S$/.exec(textOf([NS.w, 'OperationTimeout']))?.[1]
  if (seconds === undefined) throw faults.header('OperationTimeout must be a duration in seconds')
  return {
    action: textOf([NS.a, 'Action']),
    messageId,
    shellId: selectorIn(header),
    options: optionsIn(header),
    operationTimeoutMs: Number(seconds) * 1000,
    replyBytesMax,
    body,
  }
}

function selectorIn(header: DomElement): string | null {
  const sets = elementsOf(header).filter((each) => is(each, [NS.w, 'SelectorSet']))
  if (sets.length > 1) throw faults.header('SelectorSet twice')
  const [selector, ...more] = sets.flatMap(elementsOf)
  if (selector === undefined) return null
  if (more.length > 0 || !is(selector, [NS.w, 'Selector']) || selector.getAttribute('Name') !== 'ShellId')
    throw faults.header('the one selector is ShellId')
  return (selector.textContent ?? '').trim()
}

function optionsIn(header: DomElement): ReadonlyMap<string, string> {
  const given = elementsOf(header)
    .filter((each) => is(each, [NS.w, 'OptionSet']))
    .flatMap(elementsOf)
  return new Map(given.map((each) => [each.getAttribute('Name') ?? '', (each.textContent ?? '').trim()]))
}

export function replyText(
  request: Pick<WsmanRequest, 'messageId'> | null,
  { action, body }: { readonly action: string; readonly body: string },
): string {
  const spaces = Object.entries(NS).map(([prefix, space]) => ` xmlns:${prefix}="${space}"`)
  const relates = request === null ? '' : `<a:RelatesTo>${escaped(request.messageId)}</a:RelatesTo>`
  const header = `<a:Action>${action}</a:Action><a:MessageID>uuid:${randomUUID().toUpperCase()}</a:MessageID><a:To>${ANONYMOUS}</a:To>${relates}`
  return `<s:Envelope xml:lang="en-US"${spaces.join('')}><s:Header>${header}</s:Header><s:Body>${body}</s:Body></s:Envelope>`
}

export function faultText(request: Pick<WsmanRequest, 'messageId'> | null, fault: WsmanError): string {
  const { side, subcode, code, message } = fault
  const reason = `<s:Reason><s:Text xml:lang="en-US">${escaped(message)}</s:Text></s:Reason>`
  const detail = `<s:Detail><f:WSManFault Code="${code}" Machine="wintest.example"><f:Message>${escaped(message)}</f:Message></f:WSManFault></s:Detail>`
  const body = `<s:Fault><s:Code><s:Value>s:${side}</s:Value><s:Subcode><s:Value>${subcode}</s:Value></s:Subcode></s:Code>${reason}${detail}</s:Fault>`
  return replyText(request, { action: 'http://schemas.dmtf.org/wbem/wsman/1/wsman/fault', body })
}

/** The only child of this name. @throws WsmanError */
export function only(parent: DomElement, name: readonly [space: string, name: string]): DomElement {
  const [found, ...more] = elementsOf(parent).filter((each) => is(each, name))
  if (found === undefined || more.length > 0) throw faults.invalid(`must have one ${name[1]} in ${parent.nodeName}`)
  return found
}

export function elementsOf(parent: DomElement): readonly DomElement[] {
  return Array.from(parent.childNodes).filter(({ nodeType }) => nodeType === 1)
}

export function is(element: DomElement, [space, name]: readonly [string, string]): boolean {
  return element.namespaceURI === space && element.localName === name
}

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

function parse(text: string): DomElement {
  try {
    return parseDom(text)
  } catch (error) {
    throw faults.invalid(`not XML: ${String(error)}`)
  }
}
