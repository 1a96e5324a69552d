// One SOAP call: our values in, our values out, over a sender that the session gives. Built on the soap package.

import { Client, type IHttpClient, WSDL } from 'soap'
import { BackupError } from '../../base/errors.ts'
import { decodeValue, deserializers, xsiPrefixes } from './decode.ts'
import { encodeArguments } from './encode.ts'
import { faultError, type VimFault } from './faults.ts'
import type { HttpReply } from './https.ts'
import { isRecord, record, replyMalformed, textAt, type VimRecord, type VimValue } from './values.ts'
import { VIM25_WSDL } from './vim25-wsdl.ts'

/** Sends an envelope; the headers carry content type and SOAPAction. */
export type SoapSend = (xml: string, headers: Readonly<Record<string, string>>) => Promise<HttpReply>

export interface SoapClient {
  /**
   * @param call `what` begins the message of an error: "Cannot list the VMs"
   * @returns `returnval`, or null when the method has none or the server left it out
   * @throws BackupError with the fault's name in `facts.fault`; `vcenter-http-status`; `vcenter-reply-malformed`
   */
  call(
    call: { readonly method: string; readonly args: VimRecord; readonly what: string },
    send: SoapSend,
  ): Promise<VimValue | null>
}

let parsedWsdl: Promise<WSDL> | null = null

export async function openSoapClient(endpoint: string): Promise<SoapClient> {
  parsedWsdl ??= parseWsdl()
  const client = new Client(await parsedWsdl, endpoint, { ...options, httpClient })
  client.addBodyAttribute('xmlns:xsd="http://www.w3.org/2001/XMLSchema"')
  return {
    call: async ({ method, args, what }, send) => {
      let text = ''
      const remembering: SoapSend = async (xml, headers) => {
        const reply = await send(xml, headers)
        text = reply.body.toString('utf8')
        refuseStatus(reply, { text, what })
        return reply
      }
      try {
        const [result]: readonly unknown[] = await client[`${method}Async`](encodeArguments(method, args), {
          send: remembering,
        })
        return returnValueOf(decodeValue(result, xsiPrefixes(text)))
      } catch (error) {
        const fault = faultOf(error, text)
        if (fault !== null) throw faultError(fault, { what, method })
        if (error instanceof BackupError || !text) throw error
        throw replyMalformed('it is not the XML we know', error instanceof Error ? new Error(error.message) : undefined)
      }
    },
  }
}

const options = { preserveWhitespace: true, customDeserializer: deserializers }

/** The soap package's type wants axios's answer here, and the package itself reads none. */
const unused = new Promise<never>(() => undefined)

/** The soap package hands us its envelope; what it would do with axios is done by our own connections. */
const httpClient: IHttpClient = {
  request: (_url, xml, callback, headers, extra) => {
    const send: SoapSend = extra?.['send']
    const done = send(xml, { ...headers }).then((reply) => {
      callback(null, { status: reply.status, headers: reply.headers }, reply.body.toString('utf8'))
    })
    done.catch(callback)
    return unused
  },
}

function parseWsdl(): Promise<WSDL> {
  return new Promise((resolve, reject) => {
    const wsdl = new WSDL(VIM25_WSDL, 'vim25', options)
    wsdl.onReady((error: unknown) => (error ? reject(error) : resolve(wsdl)))
  })
}

function returnValueOf(response: VimValue): VimValue | null {
  return isRecord(response) ? (response.fields.get('returnval') ?? null) : null
}

/** vSphere answers 200, or 500 with a fault inside an envelope; everything else came from somewhere before it. */
function refuseStatus({ status }: HttpReply, { text, what }: { readonly text: string; readonly what: string }): void {
  if (status === 200 || (status === 500 && text.includes('Envelope'))) return
  throw new BackupError(`${what}: vCenter answers HTTP status ${status}`, {
    code: 'vcenter-http-status',
    retry: status === 429 || status >= 500 ? 'later' : 'no',
    ...(status === 404 ? { hint: 'Check that the address is that of a vCenter or ESXi server' } : {}),
    facts: { status },
  })
}

/** The soap package throws an error whose `root` is the parsed envelope. */
function faultOf(error: unknown, text: string): VimFault | null {
  const envelope = memberOf(memberOf(error, 'root'), 'Envelope')
  const fault = memberOf(memberOf(envelope, 'Body'), 'Fault')
  if (fault === undefined || text === '') return null
  const decoded = decodeValue(fault, xsiPrefixes(text))
  const shown = isRecord(decoded) ? decoded : record({})
  const detail = shown.fields.get('detail')
  const [element, member] = isRecord(detail) ? ([...detail.fields][0] ?? []) : []
  const typedDetail = isRecord(member) ? member : null
  const message = (textAt(shown, 'faultstring') ?? '').trim()
  const name = typedDetail?.type ?? element?.replace(/Fault$/, '') ?? ''
  return { name: name === '' ? 'SoapFault' : name, message, detail: typedDetail }
}

function memberOf(from: unknown, name: string): unknown {
  if (typeof from !== 'object' || from === null) return undefined
  return Object.entries(from).find(([own]) => own === name)?.[1]
}
