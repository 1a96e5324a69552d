// The inside of one simulated guest: accounts, a private directory with its files, and programs where it is a Linux guest.

import { chmodSync, chownSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import { confinedFiles } from './confined-files.ts'
import { type GuestFamily, GuestPaths, NOBODY } from './guest-paths.ts'
import { HostPrograms } from './host-programs.ts'
import { removeTree } from './remove-tree.ts'
import type { GuestAccount, GuestFiles, LiveGuestSystem } from './types.ts'
import { openWriteGate } from './write-gate.ts'

export type PrivateGuestOptions = {
  /** An empty directory. Linux guests get tmp, home, memory and bin in it, Windows guests "drive-c". */
  readonly root: string
  /** The directory of all guests. */
  readonly guests: string
  readonly family: GuestFamily
  readonly accounts: readonly GuestAccount[]
  readonly exitKeepMs: number
  readonly clock: Clock
  readonly random: Random
}

export class PrivateGuest implements LiveGuestSystem {
  accounts: readonly GuestAccount[]
  readonly files: GuestFiles
  readonly programs: HostPrograms | null
  readonly #root: string
  readonly #family: GuestFamily
  #gate: Disposable | null = null

  constructor(options: PrivateGuestOptions) {
    const { root, family } = options
    this.accounts = options.accounts
    this.#root = root
    this.#family = family
    if (family === 'windows') makeDrive(root)
    else makeDirectories(root)
    this.files = confinedFiles(new GuestPaths({ root, family }), options.random)
    this.programs = family === 'windows' ? null : new HostPrograms(options)
  }

  login({ userName, password }: { readonly userName: string; readonly password: string }): GuestAccount | null {
    // Windows takes names of accounts in any case.
    const fold = (name: string) => (this.#family === 'windows' ? name.toLowerCase() : name)
    return this.accounts.find((one) => fold(one.name) === fold(userName) && one.password === password) ?? null
  }

  start(writes: { hold(): void; resume(): void }): void {
    this.stop()
    if (this.programs === null) return
    const place = { program: join(this.#root, 'bin', 'guest-writes'), requests: join(this.#root, 'requests') }
    this.#gate = openWriteGate(place, writes)
  }

  stop(): void {
    this.#gate?.[Symbol.dispose]()
    this.#gate = null
    if (this.programs === null) return
    this.programs.killAll()
    const memory = join(this.#root, 'memory')
    chmodSync(memory, 0o1777)
    for (const name of readdirSync(memory)) removeTree(join(memory, name))
  }

  dispose(): void {
    this.stop()
    removeTree(this.#root)
  }
}

function makeDirectories(root: string): void {
  for (const name of ['tmp', 'memory', 'home', 'bin']) mkdirSync(join(root, name))
  chmodSync(root, 0o755)
  chmodSync(join(root, 'bin'), 0o755)
  for (const name of ['tmp', 'memory']) chmodSync(join(root, name), 0o1777)
  if (process.getuid?.() === 0) chownSync(join(root, 'home'), NOBODY, NOBODY)
}

/** Every account may write everywhere: rights of Windows are not simulated. */
function makeDrive(root: string): void {
  const temporary = join(root, 'drive-c', 'Windows', 'Temp')
  mkdirSync(temporary, { recursive: true })
  for (let at = temporary; at.length >= root.length; at = dirname(at)) chmodSync(at, 0o777)
}
