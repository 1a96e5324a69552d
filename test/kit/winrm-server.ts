// A WinRM listener for tests: HTTPS on loopback with a certificate of its own, Basic and NTLM, shells that run the client's
// scripts (winrm-server-guest.ts). Written from DSP0226, MS-WSMV and MS-NLMP, and strict: what the documents refuse, it refuses.

import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { requirePeer } from './peers.ts'
import type { GuestToken } from './winrm-server-guest.ts'
import { type ChannelBindingRule, type NtlmAcceptor, ntlmAcceptor, type WinrmAccount } from './winrm-server-ntlm.ts'
import { type Shells, testShells } from './winrm-server-shells.ts'
import { faults, faultText, readRequest, replyText, WsmanError, type WsmanRequest } from './winrm-server-soap.ts'

export type WinrmServerOptions = {
  readonly accounts: readonly WinrmAccount[]
  readonly offers: readonly ('Negotiate' | 'NTLM' | 'Basic')[]
  readonly binding: ChannelBindingRule
  readonly token: GuestToken
  readonly envelopeBytesMax: number
  readonly shellsMax: number
  readonly operationTimeoutMsMax: number
  readonly tls: 'TLSv1.2' | 'TLSv1.3'
  readonly hash: 'sha256' | 'sha384' | 'sha512'
  /** Files change on their way in and out. */
  readonly spoils: boolean
  /** Whether the connection ends with the offer of ways to log in. */
  readonly hangsUpAfterOffer: boolean
  /** Whether accounts that log in may use WinRM. */
  readonly authorized: boolean
  /** Asked before each request is answered, with its action ("Receive") or the step of a login ("challenge", "proof"). */
  readonly interfere: (step: string) => 'nothing' | 'close' | 'lose-shells' | 'say-nothing' | 'time-out'
}

export type WinrmServer = {
  readonly port: number
  /** SHA-256 of its certificate, 64 lower-case hex digits. */
  readonly fingerprint: string
  /** Where the guest makes its directories. */
  readonly folder: string
  readonly certificatePath: string
  /** What came in, in order: "no login", "challenge", "proof", "refused: …", "Create", … */
  readonly log: readonly string[]
  readonly connections: () => { readonly count: number; readonly open: number; readonly resumed: number }
  readonly envelopeBytes: readonly number[]
  readonly shells: () => readonly string[]
  readonly loseShells: () => void
  /** Ends all connections. */
  readonly hangUp: () => void
  /** Connections forget who logged in on them. */
  readonly forgetLogins: () => void
} & AsyncDisposable

export const defaults: WinrmServerOptions = {
  accounts: [{ user: 'Administrator', domain: null, password: 'Pä$$ "w&<rd' }],
  offers: ['Negotiate', 'Basic'],
  binding: 'strict',
  token: { administrator: true, member: true, integrity: 12_288 },
  envelopeBytesMax: 153_600,
  shellsMax: 5,
  operationTimeoutMsMax: 60_000,
  tls: 'TLSv1.3',
  hash: 'sha256',
  spoils: false,
  hangsUpAfterOffer: false,
  authorized: true,
  interfere: () => 'nothing',
}

/** What a connection has proven. */
type Known = { acceptor: NtlmAcceptor | null; account: WinrmAccount | null }

export async function startWinrmServer(changes: Partial<WinrmServerOptions> = {}): Promise<WinrmServer> {
  const options = { ...defaults, ...changes }
  const root = await mkdtemp(join(tmpdir(), 'coldframe-winrm-'))
  const { key, pem, certificatePath } = await makeCertificate(root, options.hash)
  const certificate = new X509Certificate(pem)

  const { user } = options.accounts[0] ?? { user: 'nobody' }
  const guest = { folder: root, user: `WINTEST\\${user}`, token: options.token, spoils: options.spoils }
  const shells = testShells({ ...options, guest })
  const log: string[] = []
  const envelopeBytes: number[] = []
  let knowledge = new WeakMap<Socket, Known>()
  const sockets = new Set<Socket>()
  let [count, resumed] = [0, 0]

  const server = createServer({
    key,
    cert: pem,
    minVersion: 'TLSv1.2',
    maxVersion: options.tls,
  })
  server.on('connection', (socket: Socket) => {
    count++
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.isSessionReused()) resumed++
    socket.on('error', () => undefined)
  })
  const seen = new Set<string>()
  server.on('request', (request, response) => {
    const context: Context = { options, certificate: certificate.raw, shells, log, envelopeBytes, seen }
    const known = knowledge.get(request.socket) ?? { acceptor: null, account: null }
    knowledge.set(request.socket, known)
    answer({ request, response, known }, context).catch((error: unknown) => {
      log.push(`broken: ${String(error)}`)
      request.socket.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    folder: root,
    certificatePath,
    log,
    envelopeBytes,
    connections: () => ({ count, open: sockets.size, resumed }),
    shells: () => shells.ids(),
    loseShells: () => shells.lose(),
    hangUp: () => {
      for (const socket of sockets) socket.destroy()
    },
    forgetLogins: () => {
      knowledge = new WeakMap()
    },
    [Symbol.asyncDispose]: async () => {
      shells.lose()
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
      await rm(root, { recursive: true, force: true })
    },
  }
}

async function makeCertificate(folder: string, hash: WinrmServerOptions['hash']) {
  const [keyPath, certificatePath] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const subject = ['-subj', '/CN=wintest', '-addext', 'subjectAltName=IP:127.0.0.1']
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyPath]
  const args = ['req', '-x509', ...key, ...subject, '-days', '2', `-${hash}`, '-out', certificatePath]
  const made = spawnSync(requirePeer('openssl'), args, { encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`openssl req: ${made.stderr}`)
  return { key: await readFile(keyPath), pem: await readFile(certificatePath), certificatePath }
}

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly known: Known }
type Context = {
  readonly options: WinrmServerOptions
  readonly certificate: Buffer
  readonly shells: Shells
  readonly log: string[]
  readonly envelopeBytes: number[]
  /** Message ids that were used. */
  readonly seen: Set<string>
}

async function answer(exchange: Exchange, context: Context): Promise<void> {
  const { request, response, known } = exchange
  const { options, log } = context
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  const body = Buffer.concat(parts)
  if (request.method !== 'POST' || request.url !== '/wsman') return end(response, 404)
  if (request.headers.host === undefined) return end(response, 400)
  if (known.account === null && !logIn(exchange, context)) return
  if (!/^application\/soap\+xml;\s*charset=utf-?8$/i.test(request.headers['content-type'] ?? ''))
    return end(response, 415)
  context.envelopeBytes.push(body.byteLength)
  let wsman: WsmanRequest | null = null
  try {
    if (body.byteLength > options.envelopeBytesMax) throw faults.tooLarge(options.envelopeBytesMax)
    wsman = readRequest(body.toString('utf8'))
    const step = wsman.action.replace(/^.*\//, '')
    log.push(step)
    if (context.seen.has(wsman.messageId)) throw faults.header('MessageID was used before')
    context.seen.add(wsman.messageId)
    if (!options.authorized) throw faults.denied()
    const trouble = options.interfere(step)
    if (trouble === 'lose-shells') context.shells.lose()
    if (trouble === 'close') return void request.socket.destroy()
    if (trouble === 'say-nothing') return end(response, 200, replyText(wsman, { action: 'urn:nothing', body: '' }))
    if (trouble === 'time-out') throw faults.timedOut()
    const reply = await context.shells.handle(wsman)
    end(response, 200, replyText(wsman, reply))
  } catch (error) {
    if (!(error instanceof WsmanError)) throw error
    log.push(`fault: ${error.subcode}`)
    end(response, 500, faultText(wsman, error))
  }
}

/** @returns whether the request may go on; else it has been answered */
function logIn({ request, response, known }: Exchange, { options, certificate, log }: Context): boolean {
  const [scheme = '', token = ''] = (request.headers.authorization ?? '').split(' ')
  const offered = options.offers.find((each) => each.toLowerCase() === scheme.toLowerCase())
  const refuse = (why: string, challenges: readonly string[]) => {
    log.push(why)
    response.setHeader('WWW-Authenticate', challenges)
    if (why === 'no login' && options.hangsUpAfterOffer) response.setHeader('Connection', 'close')
    end(response, 401)
    return false
  }
  const offers = options.offers.map((each) => (each === 'Basic' ? 'Basic realm="WSMAN"' : each))
  if (offered === undefined) return refuse(scheme === '' ? 'no login' : `refused: ${scheme}`, offers)
  const bytes = Buffer.from(token, 'base64')
  if (offered === 'Basic') {
    const [, user, password] = /^([^:]*):([\s\S]*)$/.exec(bytes.toString('utf8')) ?? []
    const account = options.accounts.find(
      (each) => each.domain === null && each.user.toLowerCase() === user?.toLowerCase() && each.expired !== true,
    )
    // Basic is said with every request: nothing is kept.
    return account !== undefined && account.password === password ? true : refuse('refused: Basic', offers)
  }
  const step = bytes.readUInt32LE(8) === 1 ? 'challenge' : 'proof'
  if (options.interfere(step) === 'close') {
    log.push(step)
    request.socket.destroy()
    return false
  }
  if (step === 'challenge') {
    known.acceptor = ntlmAcceptor({ ...options, certificate })
    return refuse(step, [`${offered} ${known.acceptor.challenge(bytes).toString('base64')}`])
  }
  const accepted = known.acceptor?.accept(bytes) ?? 'no challenge was given on this connection'
  known.acceptor = null
  if (typeof accepted === 'string') return refuse(`refused: ${accepted}`, offers)
  log.push(step)
  known.account = accepted
  return true
}

function end(response: ServerResponse, status: number, body = ''): void {
  response.statusCode = status
  if (body !== '') response.setHeader('Content-Type', 'application/soap+xml;charset=UTF-8')
  response.setHeader('Content-Length', Buffer.byteLength(body))
  response.end(body)
}
