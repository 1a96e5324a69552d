// How a vCenter is recognised: by a pinned SHA-256 fingerprint, a CA file, or the system's CAs. Nothing else is accepted.

import { isIP } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { BackupError, malformed } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'

export type Trust =
  /** The fingerprint of the server's own certificate: 64 hex digits, colons or none, any case. */
  | { readonly kind: 'thumbprint'; readonly sha256: string }
  | { readonly kind: 'ca'; readonly pem: string }
  | { readonly kind: 'system' }

/**
 * How an ESXi host that vCenter sent us to is recognised: by the certificate that vCenter holds of it, as a SHA-256
 * fingerprint, or where vCenter shows none by its SHA-1 thumbprint; otherwise as the settings say, if these name CAs.
 */
export type HostTrust = {
  readonly kind: 'host'
  readonly sha256: string | null
  readonly sha1: string | null
  readonly otherwise: Trust
}

export type Endpoint = { readonly host: string; readonly port: number }

/** Connecting, handshake included, takes this long at most. */
const CONNECT_MS = 10_000

/** @returns 32 bytes as upper-case hex separated by colons, the way vSphere shows them */
export function parseThumbprint(text: string): string {
  const digits = text.replaceAll(/[:\s-]/g, '').toUpperCase()
  if (/^[0-9A-F]{40}$/.test(digits))
    throw malformed('thumbprint', text, 'must be SHA-256, and this has the length of SHA-1')
  if (!/^[0-9A-F]{64}$/.test(digits))
    throw malformed('thumbprint', text, 'must be 64 hex digits of SHA-256, with or without colons')
  return digits.replaceAll(/(..)(?=.)/g, '$1:')
}

/**
 * Opens a TLS connection and hands it over only after the server has been recognised, so that nothing is sent before.
 * The pin is compared on every connection. Sessions are never resumed: a resumed session shows no certificate.
 */
export function connectTrusted(
  trust: Trust | HostTrust,
  { host, port, signal }: Endpoint & Cancel,
): Promise<TLSSocket> {
  const pinned = trust.kind === 'thumbprint' ? parseThumbprint(trust.sha256) : null
  const authorities = trust.kind === 'host' ? trust.otherwise : trust
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(authorities.kind === 'ca' ? { ca: authorities.pem } : {}),
      ALPNProtocols: ['http/1.1'],
      // With a pin the certificate is judged below, before anyone sees the socket, and by its fingerprint alone.
      rejectUnauthorized: pinned === null && trust.kind !== 'host',
    })
    const fail = (error: unknown) => {
      signal.removeEventListener('abort', stop)
      socket.destroy()
      reject(error)
    }
    const stop = () => fail(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    const refused = (error: Error) => fail(connectFailed(error, { host, port }))
    socket.setTimeout(CONNECT_MS, () => refused(new Error(`No answer in ${CONNECT_MS} ms`)))
    socket.once('error', refused)
    socket.once('secureConnect', () => {
      const { fingerprint256: actual, fingerprint: actualSha1 } = socket.getPeerCertificate()
      if (pinned !== null && actual !== pinned) return fail(thumbprintDiffers({ pinned, actual }, { host, port }))
      if (trust.kind === 'host' && !isKnownHost(trust, { actual, actualSha1, authorized: socket.authorized }))
        return fail(hostUnknown({ trust, actual }, { host, port }))
      signal.removeEventListener('abort', stop)
      socket.setTimeout(0)
      socket.removeAllListeners('timeout')
      socket.off('error', refused)
      resolve(socket)
    })
  })
}

function isKnownHost(
  { sha256, sha1, otherwise }: HostTrust,
  seen: {
    readonly actual: string | undefined
    readonly actualSha1: string | undefined
    readonly authorized: boolean
  },
): boolean {
  if (otherwise.kind !== 'thumbprint' && seen.authorized) return true
  if (sha256 !== null) return seen.actual === sha256
  return sha1 !== null && seen.actualSha1?.toUpperCase() === sha1.toUpperCase()
}

function hostUnknown(
  { trust, actual }: { readonly trust: HostTrust; readonly actual: string | undefined },
  { host, port }: Endpoint,
): BackupError {
  const shown = actual ?? 'none'
  const known = trust.sha256 ?? trust.sha1
  const knows = known === null ? 'vCenter does not show which certificate it has' : `vCenter knows it by "${known}"`
  return new BackupError(
    `Cannot trust the ESXi host "${host}:${port}": its certificate has the SHA-256 fingerprint "${shown}", and ${knows}`,
    {
      code: 'host-certificate',
      kind: 'refused',
      hint: "If the host's certificate was renewed, reconnect the host in vCenter; or give the CA that signed it",
      facts: { host, port, actual: shown, known },
    },
  )
}

function thumbprintDiffers(
  { pinned, actual }: { readonly pinned: string; readonly actual: string | undefined },
  { host, port }: Endpoint,
): BackupError {
  const shown = actual ?? 'none'
  return new BackupError(
    `Cannot trust "${host}:${port}": its certificate has the SHA-256 fingerprint "${shown}", pinned is "${pinned}"`,
    {
      code: 'vcenter-thumbprint',
      kind: 'refused',
      hint: 'If the certificate was renewed, compare the new fingerprint on the server itself and pin it; else somebody stands between',
      facts: { host, port, pinned, actual: shown },
    },
  )
}

function connectFailed(error: Error, { host, port }: Endpoint): BackupError {
  const code = 'code' in error ? String(error.code) : ''
  if (/CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(code)) {
    return new BackupError(`Cannot trust "${host}:${port}": ${error.message}`, {
      code: 'vcenter-certificate',
      kind: 'refused',
      hint: "Pin the server's SHA-256 fingerprint, or give the CA that signed its certificate",
      facts: { host, port, reason: code },
      cause: error,
    })
  }
  return new BackupError(`Cannot reach vCenter at "${host}:${port}": ${error.message}`, {
    code: 'vcenter-unreachable',
    retry: 'later',
    hint: 'Check the address, the port and that this machine may connect to it',
    facts: { host, port, reason: code },
    cause: error,
  })
}
