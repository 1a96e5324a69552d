// Temporary accounts of this machine, for tests that log in to it as if it were a guest. Root only.

import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { chown, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { peer } from './peers.ts'

export type AccountOptions = {
  /**
   * 'allowed': the one line that Coldframe asks for; 'password': sudo asks for one; 'terminal': allowed, but only from a terminal.
   * Default 'none': not in sudoers.
   */
  readonly sudo?: 'allowed' | 'password' | 'terminal' | 'none'
  /** Default: none can log in with a password. */
  readonly password?: string
  /** Its password must be changed before anything else. */
  readonly expired?: boolean
  /** Default /bin/bash. */
  readonly shell?: string
  /** Files in the home directory, by name. */
  readonly files?: Readonly<Record<string, string>>
}

export type GuestAccount = AsyncDisposable & { readonly user: string; readonly uid: number; readonly home: string }

const mark = 'coldframe test'

/** Why accounts cannot be made here, or undefined. */
export function accountsSkip(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can make accounts'
  return peer('sudo') === undefined ? 'sudo is not installed' : undefined
}

/** Gone when disposed, or when this process ends; what a killed process left is removed by the next one. */
export async function openAccount(options: AccountOptions = {}): Promise<GuestAccount> {
  removeAbandoned()
  const { sudo = 'none', password, expired = false, shell = '/bin/bash', files = {} } = options
  const user = `cf${process.pid.toString(36)}${randomInt(36 ** 4).toString(36)}`
  const remove = () => removeAccount(user)
  process.once('exit', remove)
  // "*" is no password at all, while "!" would lock the account for keys too.
  const hash = password === undefined ? '*' : hashOf(password)
  await retrying('useradd', ['-m', '-c', `${mark} ${process.pid}`, '-s', shell, '-p', hash, user])
  if (expired) await retrying('chage', ['-d', '0', user])
  const { uid, home } = entryOf(user)
  for (const [name, text] of Object.entries(files)) {
    const path = join(home, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
    await chown(path, uid, uid)
  }
  writeSudoers(user, sudo)
  return {
    user,
    uid,
    home,
    [Symbol.asyncDispose]: async () => {
      process.off('exit', remove)
      remove()
    },
  }
}

function writeSudoers(user: string, sudo: AccountOptions['sudo']): void {
  const lines = {
    none: [],
    allowed: [`${user} ALL=(root) NOPASSWD: /bin/sh`],
    password: [`${user} ALL=(root) ALL`],
    terminal: [`Defaults:${user} requiretty`, `${user} ALL=(root) NOPASSWD: /bin/sh`],
  }[sudo ?? 'none']
  if (lines.length === 0) return
  // Names with a dot are ignored by sudo: it never sees half a file, which would be a syntax error for everybody.
  const draft = `${sudoersOf(user)}.new`
  writeFileSync(draft, `${lines.join('\n')}\n`, { mode: 0o440 })
  renameSync(draft, sudoersOf(user))
}

function sudoersOf(user: string): string {
  return `/etc/sudoers.d/${user}`
}

function removeAccount(user: string): void {
  rmSync(sudoersOf(user), { force: true })
  rmSync(`${sudoersOf(user)}.new`, { force: true })
  endProcesses(user)
  for (let attempt = 1; attempt <= 20 && passwd().some((line) => line.startsWith(`${user}:`)); attempt++) {
    // -f also while a session of the account is just ending; userdel locks the files and gives up when another holds the lock.
    spawnSync('userdel', ['-f', '-r', user], { stdio: 'ignore' })
    if (attempt > 1) spawnSync('sleep', ['0.2'])
  }
}

/** What a failed test left running as this account; the next account may get the same uid. */
function endProcesses(user: string): void {
  if (!passwd().some((line) => line.startsWith(`${user}:`))) return
  const { uid } = entryOf(user)
  if (!(uid >= 1000)) return
  for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
    try {
      if (statSync(`/proc/${pid}`).uid === uid) process.kill(Number(pid), 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }
}

function removeAbandoned(): void {
  for (const line of passwd()) {
    const [user = '', , , , comment = ''] = line.split(':')
    const pid = new RegExp(`^${mark} ([0-9]+)$`).exec(comment)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeAccount(user)
  }
}

async function retrying(program: string, args: readonly string[]): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
    if (status === 0) return
    if (attempt === 20 || !stderr.includes('lock')) throw new Error(`${program} failed: ${stderr}`)
    await delay(250)
  }
}

function entryOf(user: string): { readonly uid: number; readonly home: string } {
  const [, , uid, , , home = ''] = (passwd().find((line) => line.startsWith(`${user}:`)) ?? '').split(':')
  return { uid: Number(uid), home }
}

function passwd(): readonly string[] {
  return readFileSync('/etc/passwd', 'utf8').split('\n')
}

function hashOf(password: string): string {
  const { stdout } = spawnSync('openssl', ['passwd', '-6', '-stdin'], { input: password, encoding: 'utf8' })
  return stdout.trim()
}
