// TLS for NBD: the server is verified by a certificate authority and its name, or by the SHA-256 pin of its certificate.

import { createHash } from 'node:crypto'
import { isIP, type Socket } from 'node:net'
import { checkServerIdentity, connect, type PeerCertificate, type TLSSocket } from 'node:tls'
import { BackupError, malformed, messageOf } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'

export type NbdTls = {
  /** PEM certificates to trust instead of the public ones. */
  readonly ca?: string
  /** SHA-256 of the server's certificate (DER), 64 hex digits, colons allowed. It stands for `ca` and name together. */
  readonly pinSha256?: string
  /** The name the certificate must carry; without it the host of the address. */
  readonly serverName?: string
  /** PEM certificate and key to show to a server that asks for one. */
  readonly client?: { readonly certificate: string; readonly key: string }
}

export type SecureOptions = {
  readonly socket: Socket
  readonly tls: NbdTls
  readonly serverName: string | undefined
  /** For messages. */
  readonly address: string
}

/**
 * Shakes hands on a connected socket and verifies the server before a byte of ours is sent through.
 * @throws BackupError `nbd-tls-failed`; the socket is then destroyed
 */
export async function secureSocket(options: SecureOptions, { signal }: Cancel): Promise<TLSSocket> {
  const { socket, tls, serverName, address } = options
  const pin = tls.pinSha256 === undefined ? null : parseFingerprint(tls.pinSha256)
  if (pin === null && serverName === undefined) {
    throw tlsFailed(`Cannot verify the NBD server at ${address}: a unix socket has no host name`, {
      hint: 'Give the name in its certificate (tls-hostname), or pin the certificate',
    })
  }
  const secure = connect({
    socket,
    minVersion: 'TLSv1.2',
    // With a pin alone the chain is not judged here, and checkServerIdentity is never called: the pin is compared below.
    rejectUnauthorized: pin === null,
    checkServerIdentity: (_, certificate: PeerCertificate) => checkServerIdentity(serverName ?? '', certificate),
    ...(serverName === undefined || isIP(serverName) !== 0 ? {} : { servername: serverName }),
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.client === undefined ? {} : { cert: tls.client.certificate, key: tls.client.key }),
  })
  try {
    await shaken(secure, { signal })
    if (pin !== null) checkPin(secure, { pin, address })
  } catch (error) {
    secure.destroy()
    socket.destroy()
    signal.throwIfAborted()
    if (error instanceof BackupError) throw error
    throw tlsFailed(`Cannot speak TLS with the NBD server at ${address}: ${messageOf(error)}`, { cause: error })
  }
  // What ends the stream later is reported by the socket below.
  secure.on('error', (error: Error) => socket.destroy(error))
  return secure
}

/** @returns 64 lower-case hex digits */
export function parseFingerprint(text: string): string {
  const digits = text.replaceAll(':', '').toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(digits)) {
    throw malformed('certificate pin', text, 'must be the 64 hex digits of a SHA-256, with or without colons')
  }
  return digits
}

function checkPin(secure: TLSSocket, { pin, address }: { readonly pin: string; readonly address: string }): void {
  const certificate = secure.getPeerX509Certificate()
  if (certificate === undefined) throw tlsFailed(`The NBD server at ${address} showed no certificate`, {})
  const shown = createHash('sha256').update(certificate.raw).digest('hex')
  if (shown === pin) return
  throw tlsFailed(`The NBD server at ${address} shows a certificate with SHA-256 "${shown}", and "${pin}" is pinned`, {
    hint: 'If the certificate was renewed on purpose, pin the new one; otherwise somebody is in between',
  })
}

function shaken(secure: TLSSocket, { signal }: Cancel): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      signal.removeEventListener('abort', onAbort)
      secure.off('secureConnect', onSecure)
      secure.off('close', onClose)
      action()
    }
    const onAbort = () => settle(() => reject(signal.reason))
    const onSecure = () => {
      secure.off('error', onError)
      settle(resolve)
    }
    const onError = (error: Error) => settle(() => reject(error))
    const onClose = () => settle(() => reject(new Error('the server closed the connection')))
    signal.addEventListener('abort', onAbort, { once: true })
    secure.once('secureConnect', onSecure)
    secure.on('error', onError)
    secure.once('close', onClose)
  })
}

function tlsFailed(message: string, options: { readonly hint?: string; readonly cause?: unknown }): BackupError {
  return new BackupError(message, { code: 'nbd-tls-failed', kind: 'refused', ...options })
}
