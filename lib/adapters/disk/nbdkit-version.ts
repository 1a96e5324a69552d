// Which nbdkit and which plugin this machine has, as they say themselves; nothing is served.

import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { BackupError, messageOf } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'

export type NbdkitVersions = {
  /** "1.32.5" */
  readonly nbdkit: string
  /** The plugin's own version; null where it says none. */
  readonly plugin: string | null
}

/** @throws BackupError `nbdkit-missing`, `nbdkit-plugin-missing` */
export async function askNbdkit(
  { program, plugin }: { readonly program: string; readonly plugin: string },
  cancel: Cancel,
): Promise<NbdkitVersions> {
  const version = await run(program, ['--version'], cancel).catch((cause: unknown) => {
    throw new BackupError(`Cannot ask nbdkit ("${program}") for its version: ${messageOf(cause)}`, {
      code: 'nbdkit-missing',
      kind: 'usage',
      hint: 'Install nbdkit, or name its program in COLDFRAME_NBDKIT',
      cause,
    })
  })
  const told = await run(program, [plugin, '--dump-plugin'], cancel).catch((cause: unknown) => {
    throw new BackupError(`nbdkit has no plugin "${plugin}"`, {
      code: 'nbdkit-plugin-missing',
      kind: 'usage',
      hint: 'Install it (Debian: nbdkit-plugin-vddk, from trixie on in contrib), or name its file in COLDFRAME_NBDKIT_PLUGIN',
      facts: { said: messageOf(cause).slice(0, 500) },
      cause,
    })
  })
  return {
    nbdkit: /^nbdkit (\S+)/m.exec(version)?.[1] ?? 'unknown',
    plugin: /^version=(\S+)$/m.exec(told)?.[1] ?? null,
  }
}

/** By the name of its library: "8.0.3", or "8" where the file says no more. Null: no library. */
export function vddkVersion(libdir: string): string | null {
  const versions = readdirSync(join(libdir, 'lib64')).flatMap((name) => {
    const match = /^libvixDiskLib\.so\.(\d+(?:\.\d+)*)$/.exec(name)
    return match?.[1] === undefined ? [] : [match[1]]
  })
  return versions.toSorted((left, right) => right.length - left.length)[0] ?? null
}

/** With no environment of ours: it holds secrets. */
function run(program: string, args: readonly string[], { signal }: Cancel): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { signal, env: { LC_ALL: 'C' }, maxBuffer: 1024 * 1024 }
    execFile(program, [...args], options, (error, stdout) => (error === null ? resolve(stdout) : reject(error)))
  })
}
