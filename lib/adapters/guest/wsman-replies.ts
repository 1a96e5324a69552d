// The replies of WS-Management that the winrm channel reads, and its faults in words.

import { BackupError, hasCode, malformed, messageOf } from '../../base/errors.ts'
import { SPACES } from './wsman-messages.ts'
import { childOf, childrenOf, findElement, parseXml, type XmlElement } from './wsman-xml.ts'

export type WsmanFault = {
  readonly kind: 'fault'
  /** The number of WSManFault, a Win32 error or an HRESULT; null where there is none. */
  readonly code: number | null
  /** The local name of the subcode: "TimedOut", "InvalidSelectors", … */
  readonly subcode: string | null
  readonly reason: string
}

export type WsmanReply = { readonly kind: 'reply'; readonly body: XmlElement } | WsmanFault

/** Output since the last Receive. */
export type ReceivedOutput = {
  readonly stdout: Buffer
  readonly stderr: Buffer
  /** Null while the command runs. */
  readonly exitCode: number | null
  readonly done: boolean
}

// Numbers of WinRM's own errors (wsmerror.h), as WSManFault gives them.
const OPERATION_TIMED_OUT = 2150858793
const SHELL_NOT_FOUND = 2150858843
const ACCESS_DENIED = 5

/** What an operator sets on the guest against each quota; values are those that Windows ships. */
const QUOTA_HINTS: ReadonlyMap<number, string> = new Map([
  [2150859173, 'Close shells of this account, or raise WSMan:\\localhost\\Shell\\MaxShellsPerUser'],
  [2150859174, 'Wait, or raise WSMan:\\localhost\\Service\\MaxConcurrentOperationsPerUser'],
])

/**
 * Reads the envelope of a reply.
 * @param messageId of the request that it must answer
 * @throws BackupError `malformed`
 */
export function parseReply(text: string, messageId: string): WsmanReply {
  const envelope = parseXml(text)
  const body = childOf(envelope, [SPACES.soap, 'Body'])
  if (envelope.space !== SPACES.soap || envelope.name !== 'Envelope' || body === undefined)
    throw malformed('reply of WinRM', text, 'must be a SOAP 1.2 envelope with a body')
  const fault = childOf(body, [SPACES.soap, 'Fault'])
  const relatesTo = childOf(childOf(envelope, [SPACES.soap, 'Header']), [SPACES.addressing, 'RelatesTo'])?.text.trim()
  // A fault about the request's own form may not know what it answers.
  const unrelated = relatesTo === undefined ? fault === undefined : relatesTo.toLowerCase() !== messageId.toLowerCase()
  if (unrelated) throw malformed('reply of WinRM', relatesTo ?? '', `must answer the request "${messageId}"`)
  return fault === undefined ? { kind: 'reply', body } : faultOf(fault)
}

/** Nothing to say yet: ask again. */
export function isTimedOut({ code, subcode }: WsmanFault): boolean {
  return code === OPERATION_TIMED_OUT || (code === null && subcode === 'TimedOut')
}

export function isShellLost({ code }: WsmanFault): boolean {
  return code === SHELL_NOT_FOUND
}

/** @param what was tried: "start a command" */
export function faultError(fault: WsmanFault, { what, place }: { readonly what: string; readonly place: string }) {
  const { code, subcode, reason } = fault
  const named = [subcode, code].filter((each) => each !== null).join(', ')
  const message = `Cannot ${what} through WinRM at "${place}": ${reason}${named === '' ? '' : ` (${named})`}`
  const facts = { place, faultCode: code, faultSubcode: subcode }
  if (code === ACCESS_DENIED || subcode === 'AccessDenied') {
    const hint =
      'The account may log in and not use WinRM: make it a member of Administrators or Remote Management Users'
    return new BackupError(message, { code: 'guest-login-refused', kind: 'refused', hint, facts })
  }
  const quota =
    QUOTA_HINTS.get(code ?? 0) ??
    (subcode === 'QuotaLimit' ? 'Raise the quota that the message names, below WSMan:\\localhost, or wait' : undefined)
  const hint = quota === undefined ? {} : { hint: quota }
  return new BackupError(message, { code: 'guest-unreachable', retry: 'later', ...hint, facts })
}

/**
 * What `read` makes of a guest's answer. One that cannot be read is the guest's failure, and never looks like a value of ours that is
 * malformed.
 * @throws BackupError `guest-failed`
 */
export function readGuest<Result>(place: string, read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    if (!hasCode(error, 'malformed')) throw error
    throw new BackupError(`Cannot understand the guest at "${place}": ${messageOf(error)}`, {
      code: 'guest-failed',
      retry: 'later',
      hint: 'Check that Windows answers at this address and nothing that stands before it',
      facts: { place },
      cause: error,
    })
  }
}

/** @throws BackupError `malformed` */
export function shellIdIn(body: XmlElement): string {
  const selector = childrenOf(findElement(body, [SPACES.wsman, 'SelectorSet']), [SPACES.wsman, 'Selector']).find(
    ({ attributes }) => attributes.get('Name') === 'ShellId',
  )
  const found = (selector ?? findElement(body, [SPACES.shell, 'ShellId']))?.text.trim() ?? ''
  if (found === '') throw malformed('reply of WinRM', body.name, 'must name the shell that was made')
  return found
}

/** @throws BackupError `malformed` */
export function commandIdIn(body: XmlElement): string {
  const found = findElement(body, [SPACES.shell, 'CommandId'])?.text.trim() ?? ''
  if (found === '') throw malformed('reply of WinRM', body.name, 'must name the command that was started')
  return found
}

/** @throws BackupError `malformed` */
export function outputIn(body: XmlElement, commandId: string): ReceivedOutput {
  const response = childOf(body, [SPACES.shell, 'ReceiveResponse'])
  if (response === undefined) throw malformed('reply of WinRM', body.name, 'must be output of a command')
  const streamOf = (name: string) =>
    Buffer.concat(
      childrenOf(response, [SPACES.shell, 'Stream'])
        .filter((each) => isOf(each, commandId) && each.attributes.get('Name') === name)
        .map(({ text }) => decodeBase64(text)),
    )
  const state = childrenOf(response, [SPACES.shell, 'CommandState']).find((each) => isOf(each, commandId))
  const done = state?.attributes.get('State') === `${SPACES.shell}/CommandState/Done`
  const written = childOf(state, [SPACES.shell, 'ExitCode'])?.text.trim()
  if (written !== undefined && !/^-?[0-9]{1,10}$/.test(written))
    throw malformed('exit code', written, 'must be a number')
  return {
    stdout: streamOf('stdout'),
    stderr: streamOf('stderr'),
    exitCode: done && written !== undefined ? Number(written) : null,
    done,
  }
}

/** A lone command's streams may come without its id. */
function isOf({ attributes }: XmlElement, commandId: string): boolean {
  return (attributes.get('CommandId') ?? commandId).toLowerCase() === commandId.toLowerCase()
}

function decodeBase64(text: string): Buffer {
  const packed = text.replaceAll(/\s/g, '')
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(packed)) throw malformed('stream of WinRM', packed, 'must be base64')
  return Buffer.from(packed, 'base64')
}

function faultOf(fault: XmlElement): WsmanFault {
  const code = childOf(fault, [SPACES.soap, 'Code'])
  const written = childOf(childOf(code, [SPACES.soap, 'Subcode']), [SPACES.soap, 'Value'])?.text.trim()
  const detail = findElement(childOf(fault, [SPACES.soap, 'Detail']), [SPACES.fault, 'WSManFault'])
  const number = detail?.attributes.get('Code')
  const texts = [
    childOf(detail, [SPACES.fault, 'Message']),
    childOf(childOf(fault, [SPACES.soap, 'Reason']), [SPACES.soap, 'Text']),
  ].map((each) => (each === undefined ? '' : allTextOf(each)))
  return {
    kind: 'fault',
    code: number !== undefined && /^[0-9]{1,10}$/.test(number) ? Number(number) : null,
    subcode: written?.replace(/^.*:/, '') ?? null,
    reason: (texts.find((each) => each !== '') ?? 'a fault without a reason').slice(0, 500).replace(/\.$/, ''),
  }
}

/** The message of a fault may hold the provider's own fault, with its text inside. */
function allTextOf(element: XmlElement): string {
  return [element.text, ...element.children.map(allTextOf)].join(' ').replaceAll(/\s+/g, ' ').trim()
}
