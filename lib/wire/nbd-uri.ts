// NBD addresses as text: nbd://, nbds://, nbd+unix:// and nbds+unix://. It parses; it opens nothing.
//
// Source: "The NBD Uniform Resource Indicator (URI) format" (NetworkBlockDevice/nbd, doc/uri.md).

import { type BackupError, malformed } from '../base/errors.ts'

export type NbdUri = {
  readonly address: { readonly unix: string } | { readonly host: string; readonly port: number }
  readonly exportName: string
  /** Whether the connection must be encrypted. An nbd:// address is used in the clear. */
  readonly tls: boolean
  /** The name to verify the server's certificate against, where it is not the host. */
  readonly tlsServerName: string | null
}

const PORT_DEFAULT = 10809
const QUERY_KEYS = ['socket', 'tls-hostname', 'tls-type', 'tls-verify-peer']

/**
 * @param text for example `nbds://example.com/disk1` or `nbd+unix:///?socket=/run/nbd.sock`
 * @throws BackupError `malformed` on anything else, on query parameters we do not know, and on a request not to
 *   verify the server
 */
export function parseNbdUri(text: string): NbdUri {
  const bad = (needed: string): BackupError => malformed('NBD address', text, needed)
  const url = URL.parse(text)
  const scheme = /^(nbds?)(\+unix)?:$/.exec(url?.protocol ?? '')
  if (url === null || scheme === null) throw bad('must start with nbd://, nbds://, nbd+unix:// or nbds+unix://')
  if (!/^[a-z+]+:\/\//i.test(text)) throw bad('must have "//" after the scheme')
  if (url.username !== '' || url.password !== '') throw bad('a user name in it is not supported')
  if (url.hash !== '') throw bad('must not have a fragment ("#")')
  checkQuery(url.searchParams, bad)
  const tls = scheme[1] === 'nbds'
  return {
    address: scheme[2] === undefined ? parseHost(url, bad) : parseSocket(url, bad),
    exportName: decode(url.pathname.replace(/^\//, ''), bad),
    tls,
    tlsServerName: tls ? url.searchParams.get('tls-hostname') : null,
  }
}

type Bad = (needed: string) => BackupError

function parseHost(url: URL, bad: Bad): { readonly host: string; readonly port: number } {
  if (url.searchParams.has('socket')) throw bad('a socket belongs to nbd+unix:// or nbds+unix://')
  const host = decode(url.hostname, bad).replace(/^\[(.*)\]$/, '$1')
  if (host === '') throw bad('must name a host')
  return { host, port: url.port === '' ? PORT_DEFAULT : Number(url.port) }
}

function parseSocket(url: URL, bad: Bad): { readonly unix: string } {
  if (url.host !== '') throw bad('a unix socket has no host: write three slashes, as in nbd+unix:///?socket=PATH')
  const unix = url.searchParams.get('socket')
  if (unix === null || unix === '') throw bad('must name the socket, as in nbd+unix:///?socket=PATH')
  return { unix }
}

function checkQuery(query: URLSearchParams, bad: Bad): void {
  for (const key of query.keys()) {
    if (!QUERY_KEYS.includes(key)) throw bad(`the parameter "${key}" is not known`)
    if (query.getAll(key).length > 1) throw bad(`the parameter "${key}" must come once`)
  }
  if ((query.get('tls-type') ?? 'x509') !== 'x509') throw bad('only tls-type=x509 is supported')
  if ((query.get('tls-verify-peer') ?? '1') !== '1') throw bad('a server that speaks TLS is always verified')
}

function decode(text: string, bad: Bad): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw bad('must be percent-encoded UTF-8')
  }
}
