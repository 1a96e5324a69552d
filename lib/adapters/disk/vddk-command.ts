// The command line of one nbdkit with the vddk plugin (nbdkit(1), nbdkit-vddk-plugin(1)). Pure, and without a secret.

import { MiB } from '../../base/bytes.ts'
import { assert } from '../../base/errors.ts'
import type { Moref } from '../../model/ids.ts'

/** VDDK's transport modes, in our policies' words. */
export type VddkMode = 'san' | 'hotadd' | 'nbdssl' | 'nbd'

export const VDDK_MODES: readonly VddkMode[] = ['san', 'hotadd', 'nbdssl', 'nbd']

/** How VDDK compresses what crosses the network; it knows none for `san` and `hotadd`. */
export type VddkCompression = 'none' | 'zlib' | 'fastlz' | 'skipz'

/** Larger reads exceed the buffers that a host lends through vCenter (VDDK Programming Guide, "NFC Session Limits"). */
export const VDDK_READ_BYTES_MAX = 2 * MiB

/** Of the child: where it reads the password. 0 to 2 are the standard streams. */
export const PASSWORD_FD = 3

export type VddkCommand = {
  /** The plugin's name, or the path of its file. */
  readonly plugin: string
  /** The VDDK's directory: the one that holds lib64. */
  readonly libdir: string
  readonly server: { readonly host: string; readonly port: number }
  readonly user: string
  /** SHA-1 of the server's certificate: 20 bytes as upper-case hex separated by colons. */
  readonly thumbprintSha1: string
  readonly vm: Moref
  readonly snapshot: Moref
  readonly mode: VddkMode
  readonly compression: VddkCompression
  /** Where the hosts listen for NFC; null: 902. */
  readonly nfcPort: number | null
  /** "[datastore] dir/name.vmdk", as the snapshot names it. */
  readonly fileName: string
  /** Absolute path of the unix socket to listen on. */
  readonly socket: string
}

/** @returns nbdkit's arguments; the password is not among them: nbdkit reads it from PASSWORD_FD */
export function vddkArguments(command: VddkCommand): readonly string[] {
  const { server, mode, compression, nfcPort } = command
  assert(/^([0-9A-F]{2}:){19}[0-9A-F]{2}$/.test(command.thumbprintSha1), 'a thumbprint is a SHA-1 with colons')
  const overNetwork = mode === 'nbdssl' || mode === 'nbd'
  return [
    ...['--foreground', '--readonly', '--exit-with-parent', '--unix', command.socket],
    // VDDK reads whole sectors: what a client asks beside them is rounded here, and what is too large is cut.
    '--filter=blocksize',
    // Ends when its one client has left, after the disk was closed.
    '--filter=exitlast',
    command.plugin,
    `libdir=${command.libdir}`,
    `server=${server.host}`,
    ...(server.port === 443 ? [] : [`port=${server.port}`]),
    ...(nfcPort === null ? [] : [`nfchostport=${nfcPort}`]),
    `user=${command.user}`,
    `password=-${PASSWORD_FD}`,
    `thumbprint=${command.thumbprintSha1}`,
    `vm=moref=${command.vm}`,
    `snapshot=${command.snapshot}`,
    `transports=${mode}`,
    ...(overNetwork && compression !== 'none' ? [`compression=${compression}`] : []),
    `file=${command.fileName}`,
    'minblock=512',
    `maxdata=${VDDK_READ_BYTES_MAX}`,
  ]
}
