// Paths of a simulated guest and the files of this machine behind them: those of one private directory, and no others.

import { realpathSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, join, normalize, sep } from 'node:path'
import { SimFault } from '../machine/types.ts'
import type { GuestAccount } from './types.ts'

export type GuestFamily = 'linux' | 'windows'

/** "nobody" and "nogroup", as Debian and Linux itself (overflowuid) have them. */
export const NOBODY = 65534

/** Whose rights an account has on this machine; null for those of the simulator itself. */
export function uidOf(account: GuestAccount): number | null {
  return process.getuid?.() === 0 && !account.elevated ? NOBODY : null
}

export class GuestPaths {
  readonly root: string
  readonly #family: GuestFamily

  /** @param options.root a real path. A Linux guest's paths are the paths below it; "C:" of Windows is a directory in it. */
  constructor(options: { readonly root: string; readonly family: GuestFamily }) {
    this.root = options.root
    this.#family = options.family
  }

  get temporary(): string {
    return this.#family === 'windows' ? 'C:\\Windows\\Temp' : join(this.root, 'tmp')
  }

  /** A guest's path of something in one of its directories. */
  within(directory: string, name: string): string {
    const slash = this.#family === 'windows' ? '\\' : '/'
    return `${directory.replace(/[\\/]+$/, '')}${slash}${name}`
  }

  /** The guest's path of the directory that something lies in; null at the top. */
  parentOf(path: string): string | null {
    const match = this.#family === 'windows' ? /^(.+)[\\/][^\\/]+[\\/]*$/s.exec(path) : /^(.+)\/[^/]+\/*$/s.exec(path)
    return match?.[1] ?? null
  }

  /**
   * The place of a path, whose last part need not exist and is not followed.
   * @throws SimFault GuestPermissionDenied outside the private directory, FileNotFound, NotADirectory
   */
  placeOf(account: GuestAccount, path: string): string {
    const host = this.#hostPath(path)
    if (host !== this.root && !host.startsWith(`${this.root}${sep}`)) throw denied(path)
    if (host === this.root) return host
    const parent = asFault(path, () => realpathSync(dirname(host)))
    if (parent !== this.root && !parent.startsWith(`${this.root}${sep}`)) throw denied(path)
    if (!asFault(path, () => statSync(parent)).isDirectory()) {
      throw new SimFault('NotADirectory', `"${path}" does not lie in a directory`, { file: path })
    }
    this.#checkWay(account, { parent, path })
    return join(parent, basename(host))
  }

  /** The place of something that is there, with symbolic links followed. */
  existing(account: GuestAccount, path: string): string {
    const place = this.placeOf(account, path)
    const real = asFault(path, () => realpathSync(place))
    if (real !== this.root && !real.startsWith(`${this.root}${sep}`)) throw denied(path)
    return real
  }

  #hostPath(path: string): string {
    if (this.#family === 'linux') {
      if (!path.startsWith('/')) throw new SimFault('FileNotFound', `"${path}" is no absolute path`, { file: path })
      return trimmed(normalize(path))
    }
    const match = /^([A-Za-z]):[\\/]?(.*)$/s.exec(path)
    if (match === null) throw new SimFault('FileNotFound', `"${path}" is no absolute path`, { file: path })
    const [, drive = '', rest = ''] = match
    return trimmed(normalize(join(this.root, `drive-${drive.toLowerCase()}`, rest.replaceAll('\\', '/'))))
  }

  /** Root acts for others: what they may not enter is refused by hand. */
  #checkWay(account: GuestAccount, { parent, path }: { readonly parent: string; readonly path: string }): void {
    for (let at = parent; at.startsWith(`${this.root}${sep}`); at = dirname(at)) need(account, { at, path, bit: 1 })
  }
}

/** @throws SimFault GuestPermissionDenied when the account lacks the right: 4 read, 2 write, 1 enter */
export function need(
  account: GuestAccount,
  { at, path, bit }: { readonly at: string; readonly path: string; readonly bit: 1 | 2 | 4 },
): void {
  const uid = uidOf(account)
  if (uid === null) return
  const found = asFault(path, () => statSync(at))
  if ((rightsOf(found, uid) & bit) === 0) throw denied(path)
}

/** Removing or replacing an entry of a sticky directory takes its owner, or the directory's. */
export function needRemoval(account: GuestAccount, { at, path }: { readonly at: string; readonly path: string }): void {
  const uid = uidOf(account)
  if (uid === null) return
  need(account, { at: dirname(at), path, bit: 2 })
  const folder = asFault(path, () => statSync(dirname(at)))
  const entry = statSync(at, { throwIfNoEntry: false })
  const sticky = (folder.mode & 0o1000) !== 0
  if (sticky && entry !== undefined && entry.uid !== uid && folder.uid !== uid) throw denied(path)
}

export function mayRead(account: GuestAccount, found: Stats): boolean {
  const uid = uidOf(account)
  return uid === null || (rightsOf(found, uid) & 4) !== 0
}

function rightsOf(found: Stats, uid: number): number {
  if (found.uid === uid) return found.mode >> 6
  return found.gid === uid ? found.mode >> 3 : found.mode
}

export function denied(path: string): SimFault {
  return new SimFault('GuestPermissionDenied', `Permission to "${path}" was denied in the guest`, { file: path })
}

const FAULTS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'FileNotFound'],
  ['EEXIST', 'FileAlreadyExists'],
  ['ENOTDIR', 'NotADirectory'],
  ['ENOTEMPTY', 'DirectoryNotEmpty'],
  ['EACCES', 'GuestPermissionDenied'],
  ['EPERM', 'GuestPermissionDenied'],
])

/** Runs a call of the file system and gives its error as the API's fault. */
export function asFault<Result>(path: string, action: () => Result): Result {
  try {
    return action()
  } catch (error) {
    if (error instanceof SimFault) throw error
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    throw new SimFault(FAULTS.get(code) ?? 'FileFault', `"${path}" in the guest: ${code || String(error)}`, {
      file: path,
    })
  }
}

function trimmed(path: string): string {
  return path.length > 1 && path.endsWith(sep) ? path.slice(0, -1) : path
}
