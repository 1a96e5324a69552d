// The requests of WS-Management (DSP0226) and of its command shell (MS-WSMV 3.1.4) that the winrm channel sends.

import { escapeXml, xml } from './wsman-xml.ts'

export const SPACES = {
  soap: 'http://www.w3.org/2003/05/soap-envelope',
  addressing: 'http://schemas.xmlsoap.org/ws/2004/08/addressing',
  transfer: 'http://schemas.xmlsoap.org/ws/2004/09/transfer',
  wsman: 'http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd',
  wsmv: 'http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd',
  shell: 'http://schemas.microsoft.com/wbem/wsman/1/windows/shell',
  fault: 'http://schemas.microsoft.com/wbem/wsman/1/wsmanfault',
} as const

export const SHELL_RESOURCE = `${SPACES.shell}/cmd`
/** The least that every service takes, and WinRM's own default up to 2.0 (DSP0226 6.2; MS-WSMV 2.2.5.1). */
export const ENVELOPE_BYTES_MAX = 153_600
/**
 * Bytes of stdin in one Send: in base64 they and the envelope around them stay below the limit, with room for a long address.
 */
export const STDIN_BYTES_MAX = 110_592
/** The service answers a Receive that has nothing to say after this long, with the fault that says so. */
export const OPERATION_TIMEOUT_S = 20
/** A shell that nobody asks for this long ends with everything in it, so a caller that died leaves none behind. */
const IDLE_TIMEOUT_S = 900

export type Operation = {
  readonly action: string
  /** The shell it is about; null to create one. */
  readonly shellId: string | null
  readonly options: Readonly<Record<string, string>>
  /** Markup. */
  readonly body: string
}

export function createShell(): Operation {
  const body = xml(
    'rsp:Shell',
    {},
    xml('rsp:IdleTimeOut', {}, `PT${IDLE_TIMEOUT_S}.000S`),
    xml('rsp:InputStreams', {}, 'stdin'),
    xml('rsp:OutputStreams', {}, 'stdout stderr'),
  )
  // 65001 is UTF-8. The account's profile is loaded: without it TEMP is not the account's own.
  const options = { WINRS_NOPROFILE: 'FALSE', WINRS_CODEPAGE: '65001' }
  return { action: `${SPACES.transfer}/Create`, shellId: null, options, body }
}

/** `command` and `args` go through cmd.exe as they are: nothing but words of ours may be in them. */
export function startCommand(shellId: string, command: { readonly program: string; readonly args: readonly string[] }) {
  const body = xml(
    'rsp:CommandLine',
    {},
    xml('rsp:Command', {}, escapeXml(command.program)),
    ...command.args.map((each) => xml('rsp:Arguments', {}, escapeXml(each))),
  )
  // Standard input is a pipe, which can end, and no console.
  const options = { WINRS_CONSOLEMODE_STDIN: 'FALSE', WINRS_SKIP_CMD_SHELL: 'FALSE' }
  return { action: `${SPACES.shell}/Command`, shellId, options, body } satisfies Operation
}

export type CommandPlace = { readonly shellId: string; readonly commandId: string }

/** @param input.bytes at most STDIN_BYTES_MAX */
export function sendInput(
  { shellId, commandId }: CommandPlace,
  input: { readonly bytes: Uint8Array; readonly end: boolean },
): Operation {
  const attributes = { Name: 'stdin', CommandId: commandId, ...(input.end ? { End: 'true' } : {}) }
  const body = xml('rsp:Send', {}, xml('rsp:Stream', attributes, Buffer.from(input.bytes).toString('base64')))
  return { action: `${SPACES.shell}/Send`, shellId, options: {}, body }
}

export function receiveOutput({ shellId, commandId }: CommandPlace): Operation {
  const body = xml('rsp:Receive', {}, xml('rsp:DesiredStream', { CommandId: commandId }, 'stdout stderr'))
  return { action: `${SPACES.shell}/Receive`, shellId, options: {}, body }
}

/** Ends a command with its processes; also what tells the service that its output has been read whole. */
export function terminateCommand({ shellId, commandId }: CommandPlace): Operation {
  const body = xml('rsp:Signal', { CommandId: commandId }, xml('rsp:Code', {}, `${SPACES.shell}/signal/terminate`))
  return { action: `${SPACES.shell}/Signal`, shellId, options: {}, body }
}

export function deleteShell(shellId: string): Operation {
  return { action: `${SPACES.transfer}/Delete`, shellId, options: {}, body: '' }
}

/** @param address.messageId unique: the reply names it */
export function encodeEnvelope(
  { action, shellId, options, body }: Operation,
  address: { readonly to: string; readonly messageId: string },
): string {
  const must = { 's:mustUnderstand': 'true' }
  const optional = { 's:mustUnderstand': 'false', 'xml:lang': 'en-US' }
  const selectors = shellId === null ? [] : [xml('w:Selector', { Name: 'ShellId' }, escapeXml(shellId))]
  const chosen = Object.entries(options).map(([Name, value]) => xml('w:Option', { Name }, escapeXml(value)))
  const header = xml(
    's:Header',
    {},
    xml('a:To', {}, escapeXml(address.to)),
    xml('w:ResourceURI', must, SHELL_RESOURCE),
    xml('a:ReplyTo', {}, xml('a:Address', must, `${SPACES.addressing}/role/anonymous`)),
    xml('a:Action', must, action),
    xml('w:MaxEnvelopeSize', must, String(ENVELOPE_BYTES_MAX)),
    xml('a:MessageID', {}, escapeXml(address.messageId)),
    xml('w:Locale', optional),
    xml('p:DataLocale', optional),
    ...(selectors.length === 0 ? [] : [xml('w:SelectorSet', {}, ...selectors)]),
    ...(chosen.length === 0 ? [] : [xml('w:OptionSet', must, ...chosen)]),
    xml('w:OperationTimeout', {}, `PT${OPERATION_TIMEOUT_S}.000S`),
  )
  const spaces = {
    'xmlns:s': SPACES.soap,
    'xmlns:a': SPACES.addressing,
    'xmlns:w': SPACES.wsman,
    'xmlns:p': SPACES.wsmv,
    'xmlns:rsp': SPACES.shell,
  }
  return xml('s:Envelope', spaces, header, xml('s:Body', {}, body))
}
