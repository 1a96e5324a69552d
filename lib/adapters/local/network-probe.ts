// This machine's own look at a network: its resolver, plain TCP, and a TLS handshake in which nothing is sent.

import { lookup } from 'node:dns/promises'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type PeerCertificate, type TLSSocket } from 'node:tls'
import type { Clock } from '../../base/clock.ts'
import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { NetworkPlace, NetworkProbe, ShownCertificate } from '../../ports/network-probe.ts'

export function localNetworkProbe({
  clock,
  limitMs = 5_000,
}: {
  readonly clock: Clock
  readonly limitMs?: number
}): NetworkProbe {
  return {
    resolve: async (host, { signal }) => {
      signal.throwIfAborted()
      if (isIP(host) !== 0) return [host]
      try {
        return (await lookup(host, { all: true })).map(({ address }) => address)
      } catch (error) {
        throw nameUnknown(host, error)
      }
    },
    connect: async (place, cancel) => {
      const startMs = clock.monotonicMs()
      const socket = connectTcp(place)
      await opened(socket, { event: 'connect', place, limitMs }, cancel)
      socket.destroy()
      return clock.monotonicMs() - startMs
    },
    certificate: async (place, cancel) => {
      const server: ConnectionOptions = isIP(place.host) === 0 ? { servername: place.host } : {}
      const socket = connectTls({ ...place, ...server, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
      try {
        await opened(socket, { event: 'secureConnect', place, limitMs }, cancel)
        return shown(socket)
      } finally {
        socket.destroy()
      }
    },
  }
}

type Opening = {
  readonly event: 'connect' | 'secureConnect'
  readonly place: NetworkPlace
  readonly limitMs: number
}

function opened(socket: Socket, { event, place, limitMs }: Opening, { signal }: Cancel): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (act: () => void) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      act()
    }
    const fail = (error: unknown) =>
      end(() => {
        socket.destroy()
        reject(error)
      })
    const stop = () => fail(signal.reason)
    const timer = setTimeout(() => fail(unreachable(place, new Error(`no answer in ${limitMs} ms`))), limitMs)
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    socket.once(event, () => end(resolve))
    // Also what comes after the handshake, while the socket is being destroyed.
    socket.on('error', (error) => fail(translated(error, { event, place, isOpen: socket.bytesRead > 0 })))
    socket.once('close', () => fail(unreachable(place, new Error('the connection was closed'))))
  })
}

function translated(
  error: Error,
  { event, place, isOpen }: Pick<Opening, 'event' | 'place'> & { readonly isOpen: boolean },
): BackupError {
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return nameUnknown(place.host, error)
  if (event !== 'secureConnect' || (!isOpen && !code.startsWith('ERR_SSL'))) return unreachable(place, error)
  return new BackupError(`Cannot see a certificate of "${place.host}:${place.port}": it does not speak TLS`, {
    code: 'no-tls',
    hint: 'Check the port; a proxy or another program may answer there',
    facts: { ...place, reason: code },
    cause: error,
  })
}

function unreachable(place: NetworkPlace, error: Error): BackupError {
  const { host, port } = place
  const code = 'code' in error ? String(error.code) : ''
  const refused = code === 'ECONNREFUSED' ? 'the connection is refused: nothing listens there' : error.message
  return new BackupError(`Cannot reach "${host}:${port}": ${refused}`, {
    code: 'port-unreachable',
    retry: 'later',
    hint: 'Open the port in the firewalls between this machine and that one',
    facts: { host, port, reason: code },
    cause: error,
  })
}

function nameUnknown(host: string, error: unknown): BackupError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return new BackupError(`Cannot find an address of "${host}": this machine's resolver does not know the name`, {
    code: 'name-unknown',
    retry: 'later',
    hint: 'Let this machine use a DNS server that knows the name, or put it into its hosts file',
    facts: { host, reason: code },
    cause: error,
  })
}

function shown(socket: TLSSocket): ShownCertificate {
  const certificate: PeerCertificate = socket.getPeerCertificate()
  const untilMs = Date.parse(certificate.valid_to ?? '')
  const { CN } = certificate.subject ?? {}
  return {
    sha256: certificate.fingerprint256 ?? '',
    sha1: certificate.fingerprint ?? '',
    subject: [CN ?? ''].flat().join(', '),
    validUntil: Number.isNaN(untilMs) ? null : new Date(untilMs).toISOString(),
    mistrust: socket.authorized ? null : String(socket.authorizationError ?? 'it is not vouched for'),
  }
}
