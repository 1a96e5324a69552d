// What this machine has of nbdkit and of the user's VDDK, looked at without starting anything.

import { accessSync, constants, readdirSync, statSync } from 'node:fs'
import { basename, delimiter, dirname, isAbsolute, join } from 'node:path'

export type VddkPlaces = {
  /** nbdkit's name, sought in `path`, or its absolute path. */
  readonly nbdkit: string
  /** The unpacked VDDK, or its lib64; null: none is set. */
  readonly libdir: string | null
  /** The folders of PATH. */
  readonly path: string
  /** process.platform and process.arch. */
  readonly machine: { readonly platform: string; readonly arch: string }
}

export type VddkPresence =
  | { readonly kind: 'there'; readonly nbdkit: string; readonly libdir: string }
  /** `reason` ends the sentence "Cannot read … over nbdssl: ". */
  | { readonly kind: 'absent'; readonly reason: string; readonly hint: string }

export function findVddk({ nbdkit, libdir, path, machine }: VddkPlaces): VddkPresence {
  const { platform, arch } = machine
  if (platform !== 'linux' || arch !== 'x64') {
    return absent(
      `VDDK needs Linux on x86-64, and this is ${platform} on ${arch}`,
      'Run the mover on an x86-64 machine, or name "datastore" or "lease" in the policy',
    )
  }
  if (libdir === null) {
    return absent(
      'no VDDK directory is set (COLDFRAME_VDDK)',
      'Download the VDDK from Broadcom, unpack it, and let COLDFRAME_VDDK name the directory that holds lib64',
    )
  }
  const root = vddkRoot(libdir)
  if (root === null) {
    return absent(
      `the VDDK directory "${libdir}" holds no lib64/libvixDiskLib.so`,
      'Let COLDFRAME_VDDK name the unpacked VDDK of Linux: the directory that holds lib64',
    )
  }
  const program = findProgram(nbdkit, path)
  if (program === null) {
    return absent(
      `nbdkit is not found ("${nbdkit}")`,
      'Install nbdkit with its vddk plugin, or name its program in COLDFRAME_NBDKIT',
    )
  }
  return { kind: 'there', nbdkit: program, libdir: root }
}

function absent(reason: string, hint: string): VddkPresence {
  return { kind: 'absent', reason, hint }
}

/** The plugin wants the directory above lib64; people name either. */
function vddkRoot(libdir: string): string | null {
  if (holdsLibrary(join(libdir, 'lib64'))) return libdir
  return basename(libdir) === 'lib64' && holdsLibrary(libdir) ? dirname(libdir) : null
}

function holdsLibrary(folder: string): boolean {
  try {
    return readdirSync(folder).some((name) => /^libvixDiskLib\.so(\.\d+)*$/.test(name))
  } catch {
    return false
  }
}

function findProgram(name: string, path: string): string | null {
  const candidates = isAbsolute(name)
    ? [name]
    : [...path.split(delimiter).filter(isAbsolute), '/usr/sbin', '/usr/bin', '/usr/local/bin'].map((folder) =>
        join(folder, name),
      )
  return candidates.find(isProgram) ?? null
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
