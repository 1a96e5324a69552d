// Finds the independent programs that some tests run against, and decides what a missing one means.
//
//   const vcsim = peer('vcsim')                     at the top of the file: its path, or undefined after a loud line
//   describe.skipIf(!vcsim)('…', () => { … requirePeer('vcsim') … })
//
// With COLDFRAME_REAL=required (which .ci/run sets) a missing peer fails the file instead of skipping its tests.
// scripts/peers.mjs installs them.

import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export type PeerName =
  | 'boto3'
  | 'busybox'
  | 'curl'
  | 'e2fsck'
  | 'gcc'
  | 'gss-ntlmssp'
  | 'jq'
  | 'mke2fs'
  | 'nbdcopy'
  | 'nbdinfo'
  | 'nbdkit'
  | 'openssl'
  | 'pyvmomi'
  | 'pywinrm'
  | 'qemu-img'
  | 'qemu-io'
  | 'qemu-nbd'
  | 'sftp-server'
  | 'snmptrap'
  | 'snmptrapd'
  | 'sshd'
  | 'sudo'
  | 'vcsim'
  | 'vddk-plugin'
  | 'virsh'
  | 'zstd'

/** vcsim as scripts/peers.mjs builds it from test/real/vcsim/main.go. */
const vcsimPath = join(import.meta.dirname, '..', '..', 'build', 'peers', 'vcsim')
/** Our nbdkit plugin that stands in for VMware's, as scripts/peers.mjs builds it from test/real/vddk/plugin.c. */
const vddkPluginPath = join(import.meta.dirname, '..', '..', 'build', 'peers', 'nbdkit-vddk-plugin.so')
/** Debian's pyVmomi belongs to Debian's Python, which need not be the first in PATH. */
const debianPython = '/usr/bin/python3'
const systemFolders = ['/usr/sbin', '/sbin', '/usr/bin', '/usr/lib/openssh']

const found = new Map<PeerName, string | undefined>()

/**
 * @returns the absolute path of the peer's program (for libraries of Python: of a Python that can import them), or undefined
 * @throws when it is missing and COLDFRAME_REAL=required
 */
export function peer(name: PeerName): string | undefined {
  if (!found.has(name)) {
    found.set(name, locate(name))
    if (found.get(name) === undefined) reportMissing(name)
  }
  return found.get(name)
}

/** As `peer`, for code that runs only when the peer is there. */
export function requirePeer(name: PeerName): string {
  const path = peer(name)
  if (path === undefined)
    throw new Error(`The peer "${name}" is not installed: run "node scripts/peers.mjs" as root on Debian`)
  return path
}

/** Whether tests that need all of these must be skipped: `describe.skipIf(peerSkip('nbdkit', 'nbdcopy'))`. */
export function peerSkip(...names: readonly PeerName[]): boolean {
  return names.map(peer).includes(undefined)
}

/**
 * nbdkit's own vddk plugin, and our stand-in for VMware's library that it loads; null where it could not be fetched: it is not in
 * Debian 12, so nothing is reported and nothing is required.
 */
export function debianVddkPlugin(): { readonly plugin: string; readonly library: string } | null {
  const folder = join(vddkPluginPath, '..', 'debian-vddk')
  const found = { plugin: join(folder, 'nbdkit-vddk-plugin.so'), library: join(folder, 'libvixDiskLib.so.8') }
  return existsSync(found.plugin) && existsSync(found.library) ? found : null
}

function locate(name: PeerName): string | undefined {
  switch (name) {
    case 'vcsim':
      return isExecutable(vcsimPath) ? vcsimPath : undefined
    case 'vddk-plugin':
      return existsSync(vddkPluginPath) ? vddkPluginPath : undefined
    case 'pyvmomi':
      return pythonWith('import pyVmomi')
    case 'boto3':
      return pythonWith('import boto3')
    case 'pywinrm':
      return pythonWith('import winrm, requests_ntlm')
    case 'gss-ntlmssp':
      return existsSync('/etc/gss/mech.d/mech.ntlmssp.conf') ? pythonWith('import gssapi') : undefined
    default:
      return [...(process.env['PATH'] ?? '').split(delimiter), ...systemFolders]
        .map((folder) => join(folder, name))
        .find(isExecutable)
  }
}

function pythonWith(statement: string): string | undefined {
  return spawnSync(debianPython, ['-c', statement]).status === 0 ? debianPython : undefined
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function reportMissing(name: PeerName): void {
  const text = `The peer "${name}" is not installed: tests against it`
  if (process.env['COLDFRAME_REAL'] === 'required') {
    throw new Error(`${text} cannot run, and COLDFRAME_REAL=required`)
  }
  process.stderr.write(`\n*** SKIPPED: ${text} do not run here. Run "node scripts/peers.mjs" as root on Debian ***\n`)
}
