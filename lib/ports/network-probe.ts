// Looking at a network without saying anything to it: names, ports, certificates. No code.

import type { Cancel } from '../base/time-limit.ts'

export type NetworkPlace = { readonly host: string; readonly port: number }

export type ShownCertificate = {
  /** Upper-case hex bytes separated by colons, as vSphere shows them. */
  readonly sha256: string
  readonly sha1: string
  readonly subject: string
  /** ISO 8601 UTC; null where the certificate says none that can be read. */
  readonly validUntil: string | null
  /** Why this machine's authorities do not vouch for it; null when they do. */
  readonly mistrust: string | null
}

export interface NetworkProbe {
  /**
   * The addresses of a name; an address is its own. Resolved as every program of this machine does, files of hosts included.
   * @throws BackupError `name-unknown`
   */
  resolve(host: string, cancel: Cancel): Promise<readonly string[]>
  /** Opens a connection and closes it. @returns how long it took, in ms @throws BackupError `port-unreachable`, `name-unknown` */
  connect(place: NetworkPlace, cancel: Cancel): Promise<number>
  /** What a TLS server shows, believed or not. @throws BackupError `port-unreachable`, `name-unknown`, `no-tls` */
  certificate(place: NetworkPlace, cancel: Cancel): Promise<ShownCertificate>
}
