// An HTTPS server that answers SOAP methods and paths with texts that a test gives: for replies no real server sends on demand.

import { createServer } from 'node:https'
import type { VsphereSettings } from '../../../lib/adapters/vsphere/vsphere.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { seededRandom, systemRandom } from '../../../lib/base/random.ts'
import { selfSigned, thumbprints } from '../../../sim/tls.ts'

export type Scripted = {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
  /** Ends the connection after so many bytes of the body. */
  readonly cutAt?: number
}

export type Asked = {
  /** A SOAP method's name, or "GET /folder/…". */
  readonly call: string
  /** Path and query. */
  readonly url: string
  readonly body: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

export type Answer = (asked: Asked) => Scripted | Promise<Scripted>

export type ScriptedVcenter = AsyncDisposable & {
  readonly settings: VsphereSettings
  readonly asked: Asked[]
  readonly certificate: string
  /** TLS connections so far. */
  connections(): number
  /** New connections get another certificate. */
  changeCertificate(): void
}

/** The envelope real servers send, with the prefixes a test asks for. */
export function envelope(body: string, { soap = 'soapenv', xsi = 'xsi' } = {}): string {
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\n<${soap}:Envelope xmlns:${soap}="http://schemas.xmlsoap.org/soap/envelope/" ` +
    `xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:${xsi}="http://www.w3.org/2001/XMLSchema-instance">` +
    `<${soap}:Body>${body}</${soap}:Body></${soap}:Envelope>`
  )
}

export function returned(method: string, returnval: string, prefixes: { readonly xsi?: string } = {}): Scripted {
  return { body: envelope(`<${method}Response xmlns="urn:vim25">${returnval}</${method}Response>`, prefixes) }
}

export function fault(name: string, detail = '', { xsi = 'xsi' } = {}): Scripted {
  const text = `<faultcode>ServerFaultCode</faultcode><faultstring>It is ${name}</faultstring>`
  const typed = `<detail><${name}Fault xmlns="urn:vim25" ${xsi}:type="${name}">${detail}</${name}Fault></detail>`
  return { status: 500, body: envelope(`<soapenv:Fault>${text}${typed}</soapenv:Fault>`, { xsi }) }
}

export const serviceContent =
  '<returnval><rootFolder type="Folder">group-d1</rootFolder><propertyCollector type="PropertyCollector">pc</propertyCollector>' +
  '<viewManager type="ViewManager">vm</viewManager><about><name>n</name><fullName>Scripted</fullName><apiType>HostAgent</apiType>' +
  '<apiVersion>8.0</apiVersion></about><sessionManager type="SessionManager">sm</sessionManager></returnval>'

const usual: Readonly<Record<string, Answer>> = {
  RetrieveServiceContent: () => returned('RetrieveServiceContent', serviceContent),
  Login: () => ({
    ...returned('Login', '<returnval><key>k</key><userName>u</userName></returnval>'),
    headers: { 'Set-Cookie': 'vmware_soap_session="abc"; Path=/; HttpOnly; Secure' },
  }),
  Logout: () => returned('Logout', ''),
  CreateContainerView: () =>
    returned('CreateContainerView', '<returnval type="ContainerView">session[1]view</returnval>'),
  DestroyView: () => returned('DestroyView', ''),
}

export async function openScripted(answers: Readonly<Record<string, Answer>>): Promise<ScriptedVcenter> {
  const make = () => selfSigned({ nowMs: Date.now(), random: systemRandom })
  const { key, certificate } = make()
  const asked: Asked[] = []
  let connections = 0
  const server = createServer({ key, cert: certificate }, (request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', async () => {
      const body = Buffer.concat(parts).toString('utf8')
      const method = /<soap:Body[^>]*><(?:\w+:)?(\w+)/.exec(body)?.[1]
      const call = method ?? `${request.method} ${request.url?.split('?')[0]}`
      const one: Asked = { call, url: request.url ?? '', body, headers: request.headers }
      asked.push(one)
      const answer = answers[call] ?? usual[call]
      const reply = answer === undefined ? { status: 404, body: '' } : await answer(one)
      const bytes = Buffer.from(reply.body)
      response.writeHead(reply.status ?? 200, { 'Content-Length': bytes.byteLength, ...reply.headers })
      if (reply.cutAt === undefined) response.end(request.method === 'HEAD' ? '' : bytes)
      else response.write(bytes.subarray(0, reply.cutAt), () => response.destroy())
    })
  })
  server.on('secureConnection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    settings: {
      url: `https://127.0.0.1:${port}`,
      account: async () => ({ user: 'u', password: 'secret-password' }),
      trust: { kind: 'thumbprint', sha256: thumbprints(certificate).sha256 },
      clock: systemClock,
      random: seededRandom(1),
    },
    asked,
    certificate,
    connections: () => connections,
    changeCertificate: () => {
      const other = make()
      server.setSecureContext({ key: other.key, cert: other.certificate })
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
