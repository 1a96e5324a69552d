// A simulated vCenter in this process, and a client that sends exactly the bytes a test says.

import { request as httpsRequest, type RequestOptions } from 'node:https'
import { systemClock } from '../../../lib/base/clock.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import { actOn } from '../../../sim/estate/act.ts'
import { type SmallEstateOptions, smallEstate } from '../../../sim/estate/demo.ts'
import type { Estate } from '../../../sim/estate/estate.ts'
import type { SimMishap } from '../../../sim/machine/types.ts'
import type { ActionMishap } from '../../../sim/read-mishap.ts'
import { calm, Scenario } from '../../../sim/scenario.ts'
import { plainServer, type RunningServer, type ServerOptions, startServer } from '../../../sim/server.ts'
import { attributeOf, parseXml, type XmlElement } from '../../../sim/soap/xml.ts'

export const USER = 'administrator@vsphere.local'
export const PASSWORD = 'secret'
const XSI = 'http://www.w3.org/2001/XMLSchema-instance'

export type Reply = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Buffer
}

export type SoapReply = {
  readonly status: number
  readonly cookie: string | null
  readonly text: string
  /** The response element, or the Fault. */
  readonly element: XmlElement
  /** The fault's type, or null. */
  readonly fault: string | null
}

export type Sim = AsyncDisposable & {
  readonly server: RunningServer
  readonly estate: Estate
  readonly scenario: Scenario
  http(
    path: string,
    options?: {
      readonly method?: string
      readonly headers?: Record<string, string>
      readonly body?: string | Uint8Array
    },
  ): Promise<Reply>
  soap(body: string, options?: { readonly cookie?: string | null; readonly action?: string }): Promise<SoapReply>
  /** Logs in and gives the cookie to send. */
  login(): Promise<string>
  /** Waits for the end of the task that a reply names. */
  task(
    reply: SoapReply,
    cookie: string,
  ): Promise<{
    readonly state: string
    readonly text: string
    readonly result: string | null
    readonly fault: string | null
  }>
  /** The next call of that name meets this. */
  arm(call: string, mishap: SimMishap): void
  /** At the nth call of that name from now on this is done. */
  armAction(call: string, wish: Omit<ActionMishap, 'kind'> & { readonly nth: number }): void
}

export type SimOptions = {
  readonly server?: Partial<ServerOptions>
  readonly estate?: Partial<SmallEstateOptions>
}

export async function openSim(options: SimOptions = {}): Promise<Sim> {
  const estate = smallEstate({ seed: 7, directory: null, clock: systemClock, ...options.estate })
  const scenario = new Scenario(calm, (wish) => void actOn(estate, wish))
  const server = await startServer({
    ...plainServer,
    snapshotMs: 20,
    taskMs: 10,
    estate,
    scenario,
    users: [{ userName: USER, password: PASSWORD }],
    clock: systemClock,
    random: seededRandom(7),
    ...options.server,
  })
  const http: Sim['http'] = (path, more = {}) => send(server, { path, ...more })
  const soap: Sim['soap'] = async (body, more = {}) => {
    const headers = {
      'Content-Type': 'text/xml; charset=utf-8',
      SOAPAction: more.action ?? '"urn:vim25/8.0.3.0"',
      ...(more.cookie ? { Cookie: more.cookie } : {}),
    }
    return readSoap(await http('/sdk', { method: 'POST', headers, body: envelope(body) }))
  }
  return {
    server,
    estate,
    scenario,
    http,
    soap,
    login: async () => {
      const { cookie, text } = await soap(loginCall(USER, PASSWORD))
      if (cookie === null) throw new Error(`No cookie in ${text}`)
      return cookie
    },
    task: (reply, cookie) => endOfTask(soap, { task: textOf(reply.element, 'returnval'), cookie }),
    armAction: (call, { nth, ...wish }) =>
      scenario.arm({ call, when: { kind: 'nth', nth }, times: 1, mishap: { kind: 'action', ...wish } }),
    arm: (call, mishap) => scenario.arm({ call, when: { kind: 'nth', nth: 1 }, times: 1, mishap }),
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      estate[Symbol.dispose]()
    },
  }
}

export function loginCall(user: string, password: string): string {
  return `<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this><userName>${user}</userName><password>${password}</password></Login>`
}

/** A call without parameters, or with those given as XML. */
export function call(
  method: string,
  options: { readonly type: string; readonly id: string; readonly args?: string },
): string {
  return `<${method} xmlns="urn:vim25"><_this type="${options.type}">${options.id}</_this>${options.args ?? ''}</${method}>`
}

/** The properties of one object. */
export function retrieve(object: {
  readonly type: string
  readonly id: string
  readonly paths: readonly string[]
}): string {
  const paths = object.paths.map((path) => `<pathSet>${path}</pathSet>`).join('')
  const spec = `<specSet><propSet><type>${object.type}</type>${paths}</propSet><objectSet><obj type="${object.type}">${object.id}</obj></objectSet></specSet>`
  return call('RetrievePropertiesEx', { type: 'PropertyCollector', id: 'propertyCollector', args: `${spec}<options/>` })
}

/** Every element of that name, outermost first. */
export function all(element: XmlElement, name: string): readonly XmlElement[] {
  return element.children.flatMap((child) => [...(child.name === name ? [child] : []), ...all(child, name)])
}

export function textOf(element: XmlElement, name: string): string {
  return all(element, name)[0]?.text ?? ''
}

export function typeOf(element: XmlElement | undefined): string | null {
  return element === undefined ? null : attributeOf(element, { name: 'type', namespace: XSI })
}

async function endOfTask(soap: Sim['soap'], { task, cookie }: { readonly task: string; readonly cookie: string }) {
  for (;;) {
    const { element, text } = await soap(retrieve({ type: 'Task', id: task, paths: ['info'] }), { cookie })
    const state = textOf(element, 'state')
    if (state === 'queued' || state === 'running') continue
    const result = all(element, 'result')[0]?.text ?? null
    return { state, text, result, fault: typeOf(all(element, 'fault')[0]) }
  }
}

function readSoap(reply: Reply): SoapReply {
  const text = reply.body.toString('utf8')
  const element = parseXml(text).children[0]?.children[0]
  if (element === undefined) throw new Error(`No SOAP body in ${text}`)
  const cookies = reply.headers['set-cookie'] ?? []
  const cookie = (Array.isArray(cookies) ? cookies[0]?.split(';')[0] : null) ?? null
  const fault = element.name === 'Fault' ? typeOf(all(element, 'detail')[0]?.children[0]) : null
  return { status: reply.status, cookie, text, element, fault }
}

function envelope(body: string): string {
  return `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="${XSI}" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soapenv:Body>${body}</soapenv:Body></soapenv:Envelope>`
}

type Sending = {
  readonly path: string
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array
}

function send(server: RunningServer, { path, method = 'GET', headers = {}, body }: Sending): Promise<Reply> {
  const options: RequestOptions = {
    host: '127.0.0.1',
    port: server.port,
    path,
    method,
    headers,
    ca: server.certificate,
  }
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(options, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
