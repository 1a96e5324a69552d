// Servers that guest file transfers go to: the session's own, or an ESXi host that vCenter vouches for.

import { X509Certificate } from 'node:crypto'
import { hasCode } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Moref } from '../../model/ids.ts'
import { type HttpRequest, type HttpsServer, openHttpsServer, parseServerUrl } from './https.ts'
import { readObject } from './properties.ts'
import type { VimSession } from './session.ts'
import type { Endpoint, HostTrust } from './trust.ts'
import { isRef, listOf, type Ref, ref, replyMalformed, type VimValue } from './values.ts'

/** Where a transfer goes. */
export type TransferPlace = { readonly endpoint: Endpoint; readonly exchange: HttpsServer['exchange'] }

export type Transfer = { readonly place: TransferPlace; readonly path: HttpRequest['path'] }

export interface TransferHosts extends Disposable {
  /** @param url as vCenter gave it; its host "*" stands for the server that we talk to */
  find(url: string, cancel: Cancel): Promise<Transfer>
  /** What was learned of this server does not hold any more: a VM may have moved, a certificate may be new. */
  forget(place: TransferPlace): void
}

export function transferHosts(session: VimSession, vm: Moref): TransferHosts {
  const own = parseServerUrl(session.settings.url)
  const others = new Map<string, HttpsServer>()
  return {
    find: async (url, cancel) => {
      const { host, port, path } = parseTransferUrl(url, own)
      const endpoint = { host, port }
      if (host === own.host.toLowerCase() && port === own.port)
        return { path, place: { endpoint, exchange: session.exchangeBare } }
      const name = nameOf(endpoint)
      const server = others.get(name) ?? openHttpsServer(endpoint, await readHostTrust(session, vm, cancel))
      others.set(name, server)
      return { path, place: { endpoint, exchange: server.exchange } }
    },
    forget: ({ endpoint }) => {
      others.get(nameOf(endpoint))?.[Symbol.dispose]()
      others.delete(nameOf(endpoint))
    },
    [Symbol.dispose]: () => {
      for (const server of others.values()) server[Symbol.dispose]()
    },
  }
}

function nameOf({ host, port }: Endpoint): string {
  return `${host}:${port}`
}

/** The query holds the transfer's token and must not be shown. @throws BackupError `vcenter-reply-malformed` */
export function parseTransferUrl(text: string, own: Endpoint): Endpoint & { readonly path: string } {
  const bracketed = own.host.includes(':') ? `[${own.host}]` : own.host
  const replaced = text.replace(/^(https:\/\/)\*(?=[:/])/i, (_all, scheme: string) => `${scheme}${bracketed}`)
  const url = URL.canParse(replaced) ? new URL(replaced) : null
  if (url === null || url.protocol !== 'https:' || url.hostname === '' || url.username !== '')
    throw replyMalformed(`a file of the guest is offered at "${text.split('?')[0]}", which is no HTTPS address`)
  // "https://*/…" of a server that we reach on another port, through a tunnel for example, means that port.
  const starred = replaced !== text
  const port = url.port !== '' ? Number(url.port) : starred ? own.port : 443
  return { host: url.hostname.replace(/^\[|\]$/g, '').toLowerCase(), port, path: `${url.pathname}${url.search}` }
}

/** The host that the VM runs on now, as vCenter knows it. */
async function readHostTrust(session: VimSession, vm: Moref, cancel: Cancel): Promise<HostTrust> {
  const what = `Cannot read how the host of VM "${vm}" is recognised`
  const machine = { ref: ref('VirtualMachine', vm), paths: ['runtime.host'], what }
  const host = (await readObject(session, machine, cancel)).get('runtime.host')
  const otherwise = session.settings.trust
  if (!isRef(host)) return { kind: 'host', sha256: null, sha1: null, otherwise }
  const certificate = await readAllowed(session, { ref: host, path: 'config.certificate', what }, cancel)
  const sha256 = certificate === undefined ? null : fingerprintOf(certificate)
  if (sha256 !== null) return { kind: 'host', sha256, sha1: null, otherwise }
  const thumbprint = await readAllowed(session, { ref: host, path: 'summary.config.sslThumbprint', what }, cancel)
  const sha1 = typeof thumbprint === 'string' && thumbprint !== '' ? thumbprint : null
  return { kind: 'host', sha256: null, sha1, otherwise }
}

/** A property that this user may not read is as one that is not there: then the next way to recognise the host is taken. */
async function readAllowed(
  session: VimSession,
  { ref: target, path, what }: { readonly ref: Ref; readonly path: string; readonly what: string },
  cancel: Cancel,
): Promise<VimValue | undefined> {
  try {
    return (await readObject(session, { ref: target, paths: [path], what }, cancel)).get(path)
  } catch (error) {
    if (hasCode(error, 'vcenter-permission')) return undefined
    throw error
  }
}

/** HostConfigInfo.certificate is a list of bytes: the certificate as PEM. */
function fingerprintOf(value: VimValue): string | null {
  const bytes =
    typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.from(listOf(value).map((byte) => Number(byte)))
  if (bytes.byteLength === 0) return null
  try {
    return new X509Certificate(bytes).fingerprint256
  } catch (error) {
    throw replyMalformed('the certificate of a host is none', error)
  }
}
