// Replies and faults of WS-Management, worded as WinRM words them, and requests as a strict reader sees them.

import { describe, expect, it } from 'vitest'
import {
  createShell,
  encodeEnvelope,
  type Operation,
  receiveOutput,
  STDIN_BYTES_MAX,
  sendInput,
  startCommand,
  terminateCommand,
} from '../../../lib/adapters/guest/wsman-messages.ts'
import {
  faultError,
  isShellLost,
  isTimedOut,
  outputIn,
  parseReply,
  shellIdIn,
} from '../../../lib/adapters/guest/wsman-replies.ts'
import { readRequest } from '../../kit/winrm-server-soap.ts'

const messageId = 'uuid:00000000-1111-2222-3333-444444444444'
const to = 'https://[2001:db8::21]:5986/wsman'

function envelope(body: string, relatesTo: string | null = messageId): string {
  const relates = relatesTo === null ? '' : `<a:RelatesTo>${relatesTo}</a:RelatesTo>`
  return `<s:Envelope xml:lang="en-US" xmlns:s="http://www.w3.org/2003/05/soap-envelope"
    xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
    xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
    xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer"><s:Header>${relates}</s:Header><s:Body>${body}</s:Body></s:Envelope>`
}

function fault({
  code,
  subcode,
  message,
}: {
  readonly code: string
  readonly subcode: string
  readonly message: string
}) {
  return envelope(`<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>${subcode}</s:Value></s:Subcode></s:Code>
    <s:Reason><s:Text xml:lang="en-US">the reason</s:Text></s:Reason><s:Detail>
    <f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="${code}" Machine="wintest"><f:Message>${message}</f:Message>
    </f:WSManFault></s:Detail></s:Fault>`)
}

function faultIn(text: string) {
  const reply = parseReply(text, messageId)
  if (reply.kind !== 'fault') return expect.unreachable('no fault')
  return reply
}

const tried = { what: 'make a shell', place: '192.0.2.21:5986' }

describe('replies of WS-Management', () => {
  it('a fault is told with the number, the subcode and the message of the provider inside', () => {
    const message =
      '<f:ProviderFault provider="microsoft.powershell" path="x.dll">The provider said:\n  <inner>too many</inner></f:ProviderFault>'
    const found = faultIn(fault({ code: '2150858999', subcode: 'w:InternalError', message }))
    expect(found).toMatchObject({ code: 2150858999, subcode: 'InternalError', reason: 'The provider said: too many' })
    expect(faultError(found, tried)).toMatchObject({
      code: 'guest-unreachable',
      retry: 'later',
      message:
        'Cannot make a shell through WinRM at "192.0.2.21:5986": The provider said: too many (InternalError, 2150858999)',
    })
  })

  it.each([
    ['2150859173', 'w:QuotaLimit', 'guest-unreachable', /MaxShellsPerUser/],
    ['2150859174', 'w:QuotaLimit', 'guest-unreachable', /MaxConcurrentOperationsPerUser/],
    ['2150850000', 'w:QuotaLimit', 'guest-unreachable', /quota/],
    ['5', 'w:AccessDenied', 'guest-login-refused', /Remote Management Users/],
  ])('fault %s (%s) becomes %s, with what to do', (code, subcode, wanted, hint) => {
    const found = faultError(faultIn(fault({ code, subcode, message: 'No.' })), tried)
    expect(found).toMatchObject({ code: wanted, hint: expect.stringMatching(hint) })
    expect(found.message).not.toMatch(/\.$/)
  })

  it('tells "ask again" and "the shell is gone" from all other faults', () => {
    const timedOut = faultIn(fault({ code: '2150858793', subcode: 'w:TimedOut', message: 'late' }))
    const lost = faultIn(fault({ code: '2150858843', subcode: 'w:InvalidSelectors', message: 'gone' }))
    expect([isTimedOut(timedOut), isShellLost(timedOut), isTimedOut(lost), isShellLost(lost)]).toEqual([
      true,
      false,
      false,
      true,
    ])
  })

  it('a reply to another request is refused, and one without its number unless it is a fault', () => {
    const body = '<rsp:SendResponse/>'
    expect(parseReply(envelope(body), messageId).kind).toBe('reply')
    expect(parseReply(envelope(body, messageId.toUpperCase()), messageId).kind).toBe('reply')
    expect(() => parseReply(envelope(body, 'uuid:other'), messageId)).toThrow(/must answer the request/)
    expect(() => parseReply(envelope(body, null), messageId)).toThrow(/must answer the request/)
    expect(() => parseReply('<html><body>503</body></html>', messageId)).toThrow(/SOAP/)
    const nameless = envelope('<s:Fault><s:Reason><s:Text>odd</s:Text></s:Reason></s:Fault>', null)
    expect(parseReply(nameless, messageId)).toEqual({ kind: 'fault', code: null, subcode: null, reason: 'odd' })
  })

  it('streams are joined by name, and belong to the command that was asked for', () => {
    const state = 'http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState'
    const stream = (name: string, text: string, id = 'C1') =>
      `<rsp:Stream Name="${name}" CommandId="${id}">${Buffer.from(text).toString('base64')}</rsp:Stream>`
    const output = (body: string) => {
      const reply = parseReply(envelope(`<rsp:ReceiveResponse>${body}</rsp:ReceiveResponse>`), messageId)
      return reply.kind === 'reply' ? outputIn(reply.body, 'c1') : expect.unreachable('a fault')
    }
    const some = stream('stdout', 'a') + stream('stderr', 'e') + stream('stdout', 'b') + stream('stdout', 'no', 'C2')
    expect(output(`${some}<rsp:CommandState CommandId="C1" State="${state}/Running"/>`)).toEqual({
      stdout: Buffer.from('ab'),
      stderr: Buffer.from('e'),
      exitCode: null,
      done: false,
    })
    const done = (code: string) =>
      `<rsp:CommandState CommandId="C1" State="${state}/Done"><rsp:ExitCode>${code}</rsp:ExitCode></rsp:CommandState>`
    expect(output(done('-1073741510'))).toMatchObject({ exitCode: -1073741510, done: true })
    expect(() => output(done('zero'))).toThrow(/exit code/)
    expect(() => output('<rsp:Stream Name="stdout" CommandId="C1">?</rsp:Stream>')).toThrow(/base64/)
  })

  it('the shell is named by its selector, or by its own description', () => {
    const id = (body: string) => {
      const reply = parseReply(envelope(body), messageId)
      return reply.kind === 'reply' ? shellIdIn(reply.body) : expect.unreachable('a fault')
    }
    const selectors = '<w:SelectorSet><w:Selector Name="ShellId">S1</w:Selector></w:SelectorSet>'
    const created = `<x:ResourceCreated><a:ReferenceParameters>${selectors}</a:ReferenceParameters></x:ResourceCreated>`
    expect(id(`${created}<rsp:Shell><rsp:ShellId>S2</rsp:ShellId></rsp:Shell>`)).toBe('S1')
    expect(id('<rsp:Shell><rsp:ShellId>S2</rsp:ShellId></rsp:Shell>')).toBe('S2')
    expect(() => id('<rsp:Shell/>')).toThrow(/must name the shell/)
  })
})

describe('requests of WS-Management', () => {
  const place = { shellId: 'S & <1>', commandId: '"C"' }
  const operations: readonly (readonly [string, Operation])[] = [
    ['Create', createShell()],
    ['Command', startCommand(place.shellId, { program: 'a & b', args: ['<c>'] })],
    ['Send', sendInput(place, { bytes: new Uint8Array(STDIN_BYTES_MAX), end: true })],
    ['Receive', receiveOutput(place)],
    ['Signal', terminateCommand(place)],
  ]

  it.each(operations)('%s has what the documents want, and fits the smallest envelope', (name, operation) => {
    const text = encodeEnvelope(operation, { to, messageId })
    const request = readRequest(text)
    expect(request.action.replace(/^.*\//, '')).toBe(name)
    expect(request).toMatchObject({
      messageId,
      shellId: name === 'Create' ? null : place.shellId,
      operationTimeoutMs: 20_000,
      replyBytesMax: 153_600,
    })
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(153_600)
  })
})
