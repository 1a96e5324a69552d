// One TLS connection to a WinRM listener and HTTP on it: the certificate is judged before anything is sent, and requests
// never move to another connection unseen, since NTLM authenticates a connection.

import { createHash, type X509Certificate } from 'node:crypto'
import { Agent, type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { isIP } from 'node:net'
import { PassThrough } from 'node:stream'
import { connect, type TLSSocket } from 'node:tls'
import { BackupError, malformed } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { NetworkDoor, PinRule } from '../../ports/guest.ts'
import { reasonOfSocket } from './unreachable.ts'

export type HttpReply = {
  readonly status: number
  /** One string a challenge, as they were sent. */
  readonly challenges: readonly string[]
  readonly body: string
}

export interface WinrmLine extends Disposable {
  /** SHA-256 of the listener's certificate, 64 lower-case hex digits. */
  readonly seen: string
  /** Application data of the TLS channel binding; null where the certificate's signature names no hash (RFC 5929, 4.1). */
  readonly channelBinding: Uint8Array | null
  /** False once either side has closed it. */
  usable(): boolean
  /** @throws BackupError `guest-unreachable`; the connection is not usable after any failure */
  exchange(
    call: { readonly headers: OutgoingHttpHeaders; readonly body: string; readonly limitMs: number },
    cancel: Cancel,
  ): Promise<HttpReply>
}

export const WSMAN_PATH = '/wsman'
/** Connecting, TLS included. */
const CONNECT_MS = 15_000
/** We ask for envelopes of 150 KiB at most; what is far beyond is no answer to us. */
const REPLY_BYTES_MAX = 1_048_576

/** @throws BackupError `guest-unreachable`, `guest-certificate-unknown`, `guest-certificate-changed` */
export async function openLine(
  { address, port, rule }: NetworkDoor & { readonly rule: PinRule },
  { signal }: Cancel,
): Promise<WinrmLine> {
  const place = `${address.includes(':') ? `[${address}]` : address}:${port}`
  const pins = rule.pins.map(parsePin)
  const socket = await connectTls({ address, port, place }, { signal })
  const certificate = socket.getPeerX509Certificate()
  const seen = certificate === undefined ? null : digestsOf(certificate).seen
  const refusal = seen === null ? noCertificate(place) : whyNotTrusted(seen, { pins, firstSeen: rule.firstSeen, place })
  if (certificate === undefined || seen === null || refusal !== null) {
    socket.destroy()
    throw refusal
  }
  // The answer to a request may come after its caller has gone; nobody else listens for the socket's errors then.
  socket.on('error', () => undefined)
  const agent = agentOfOne(socket)
  return {
    seen,
    channelBinding: digestsOf(certificate).endPoint,
    usable: () => !socket.destroyed && socket.writable && !socket.readableEnded,
    exchange: async ({ headers, body, limitMs }, cancel) => {
      cancel.signal.throwIfAborted()
      const limit = withTimeLimit(cancel.signal, limitMs)
      const own = { Host: place, 'User-Agent': 'coldframe', 'Content-Length': Buffer.byteLength(body) }
      try {
        const call = request({
          agent,
          method: 'POST',
          path: WSMAN_PATH,
          headers: { ...headers, ...own },
          signal: limit,
        })
        return await readReply(await replyTo(call, { body, limit }))
      } catch (error) {
        socket.destroy()
        cancel.signal.throwIfAborted()
        if (error instanceof BackupError) throw error
        throw unreachableAt(place, limit.aborted ? `no answer in ${limitMs} ms` : reasonOfSocket(error), error)
      }
    },
    [Symbol.dispose]: () => {
      agent.destroy()
      socket.destroy()
    },
  }
}

/** @returns 64 lower-case hex digits; colons, blanks and upper case are forgiven. @throws BackupError `malformed` */
export function parsePin(text: string): string {
  const digits = text.replaceAll(/[:\s]/g, '').toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(digits))
    throw malformed("a pinned certificate's fingerprint", text, 'must be the 64 hex digits of a SHA-256')
  return digits
}

export function unreachableAt(place: string, reason: string, cause?: unknown): BackupError {
  return new BackupError(`Cannot reach WinRM at "${place}": ${reason}`, {
    code: 'guest-unreachable',
    retry: 'later',
    hint: 'Check that a WinRM listener for HTTPS runs there ("winrm enumerate winrm/config/listener") and that this machine may connect',
    facts: { place },
    cause,
  })
}

function connectTls(
  { address, port, place }: NetworkDoor & { readonly place: string },
  { signal }: Cancel,
): Promise<TLSSocket> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: address,
      port,
      ...(isIP(address) === 0 ? { servername: address } : {}),
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
      // Judged by the caller before anything is sent. No session is ever offered, so each handshake shows the certificate.
      rejectUnauthorized: false,
    })
    const fail = (error: unknown) => {
      signal.removeEventListener('abort', stop)
      socket.destroy()
      reject(error)
    }
    const stop = () => fail(signal.reason)
    const failed = (error: Error) => fail(unreachableAt(place, reasonOfSocket(error), error))
    signal.addEventListener('abort', stop, { once: true })
    socket.setTimeout(CONNECT_MS, () => failed(new Error(`no TLS connection in ${CONNECT_MS} ms`)))
    socket.once('error', failed)
    // A server that closes inside the handshake raises no error everywhere.
    socket.once('close', () => failed(new Error('the connection was closed inside the TLS handshake')))
    socket.once('secureConnect', () => {
      signal.removeEventListener('abort', stop)
      socket.setTimeout(0)
      socket.removeAllListeners('timeout')
      socket.removeAllListeners('close')
      socket.off('error', failed)
      resolve(socket)
    })
  })
}

/** Gives the one connection once; a request that finds it closed fails instead of going elsewhere. */
function agentOfOne(socket: TLSSocket): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let given = false
  agent.createConnection = (_options, ready) => {
    if (given) ready?.(new Error('the connection was closed by the other side'), new PassThrough().destroy())
    else ready?.(null, socket)
    given = true
    return undefined
  }
  return agent
}

/** A reply that changes the protocol (101) is told neither as a response nor as an error: the end of either side is heard too. */
function replyTo(
  call: ReturnType<typeof request>,
  { body, limit }: { readonly body: string; readonly limit: AbortSignal },
): Promise<IncomingMessage> {
  return new Promise<IncomingMessage>((resolve, reject) => {
    const stop = () => reject(limit.reason)
    limit.addEventListener('abort', stop, { once: true })
    call.once('response', resolve)
    call.on('error', reject)
    call.once('close', () => {
      limit.removeEventListener('abort', stop)
      reject(new Error('the connection was closed without a reply'))
    })
    call.end(body)
  })
}

async function readReply(reply: IncomingMessage): Promise<HttpReply> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of reply) {
    const chunk = Buffer.from(part)
    bytes += chunk.byteLength
    if (bytes > REPLY_BYTES_MAX) throw new Error(`a reply is larger than ${REPLY_BYTES_MAX} bytes`)
    parts.push(chunk)
  }
  if (!reply.complete) throw new Error('the connection ended inside a reply')
  return {
    status: reply.statusCode ?? 0,
    challenges: reply.headersDistinct['www-authenticate'] ?? [],
    body: Buffer.concat(parts).toString('utf8'),
  }
}

/** Hashes by the OID of the certificate's signature; MD5 and SHA-1 count as SHA-256 (RFC 5929, 4.1). */
const SIGNATURE_HASHES: ReadonlyMap<string, string> = new Map([
  ...[
    '1.2.840.113549.1.1.4',
    '1.2.840.113549.1.1.5',
    '1.2.840.113549.1.1.11',
    '1.2.840.10045.4.1',
    '1.2.840.10045.4.3.2',
  ].map((oid) => [oid, 'sha256'] as const),
  ...['1.2.840.113549.1.1.12', '1.2.840.10045.4.3.3'].map((oid) => [oid, 'sha384'] as const),
  ...['1.2.840.113549.1.1.13', '1.2.840.10045.4.3.4'].map((oid) => [oid, 'sha512'] as const),
])

function digestsOf(certificate: X509Certificate): { readonly seen: string; readonly endPoint: Uint8Array | null } {
  const hash = SIGNATURE_HASHES.get(certificate.signatureAlgorithmOid)
  const prefix = Buffer.from('tls-server-end-point:', 'latin1')
  return {
    seen: createHash('sha256').update(certificate.raw).digest('hex'),
    endPoint: hash === undefined ? null : Buffer.concat([prefix, createHash(hash).update(certificate.raw).digest()]),
  }
}

function noCertificate(place: string): BackupError {
  return unreachableAt(place, 'the server shows no certificate')
}

function whyNotTrusted(seen: string, { pins, firstSeen, place }: PinRule & { readonly place: string }) {
  if (pins.includes(seen) || (pins.length === 0 && firstSeen)) return null
  const facts = { place, seen, pinned: pins }
  if (pins.length > 0) {
    const message = `Cannot trust WinRM at "${place}": its certificate has the SHA-256 fingerprint "${seen}", pinned is "${pins.join('", "')}"`
    const hint =
      'If the certificate was renewed, compare the new fingerprint in the guest and pin it; else somebody stands between'
    return new BackupError(message, { code: 'guest-certificate-changed', kind: 'refused', hint, facts })
  }
  const message = `Cannot trust WinRM at "${place}": its certificate has the SHA-256 fingerprint "${seen}", and none is pinned`
  const hint =
    'Compare the fingerprint in the guest and pin it in the credentials, or let the policy trust what is seen first'
  return new BackupError(message, { code: 'guest-certificate-unknown', kind: 'refused', hint, facts })
}
