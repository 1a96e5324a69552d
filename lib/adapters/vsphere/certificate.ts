// The certificate that a server shows, told only after the server was recognised by its pin or by authorities.

import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { parseServerUrl } from './https.ts'
import type { VsphereSettings } from './session.ts'
import { connectTrusted, type Endpoint } from './trust.ts'

/** Fingerprints: upper-case hex bytes separated by colons. */
export type ServerCertificate = { readonly endpoint: Endpoint; readonly sha256: string; readonly sha1: string }

/**
 * For programs that know a server by its SHA-1 alone: that of the very certificate which passed our own check just now.
 * @throws BackupError `vcenter-unreachable`, `vcenter-thumbprint`, `vcenter-certificate`
 */
export async function readServerCertificate(
  { url, trust }: Pick<VsphereSettings, 'url' | 'trust'>,
  { signal }: Cancel,
): Promise<ServerCertificate> {
  const endpoint = parseServerUrl(url)
  const socket = await connectTrusted(trust, { ...endpoint, signal })
  const { fingerprint256, fingerprint } = socket.getPeerCertificate()
  socket.on('error', () => undefined)
  socket.destroy()
  if (fingerprint256 !== undefined && fingerprint !== undefined)
    return { endpoint, sha256: fingerprint256, sha1: fingerprint.toUpperCase() }
  throw new BackupError(`Cannot read the certificate of "${endpoint.host}:${endpoint.port}": it shows none`, {
    code: 'vcenter-certificate',
    kind: 'refused',
    facts: { ...endpoint },
  })
}
