// Starts Debian's OpenSSH server on loopback: the guest of real tests over ssh. Accounts are in guest-account.ts.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { requirePeer } from './peers.ts'

export type HostKeyKind = 'ed25519' | 'ecdsa' | 'rsa'

export type SshdOptions = {
  /** In the order in which the server offers them. Default: all three. */
  readonly hostKeys?: readonly HostKeyKind[]
  /** Default 127.0.0.1. */
  readonly address?: '127.0.0.1' | '::1'
  /** Default: the first free one. */
  readonly port?: number
  /** 'external': sftp-server, started by the account's login shell. Default 'internal'. */
  readonly sftp?: 'internal' | 'external' | 'off'
  /** For every session (SetEnv): COLDFRAME_GUEST_DIRECTORY, BASH_ENV. */
  readonly environment?: Readonly<Record<string, string>>
  /** More lines of sshd_config; a first line of a setting wins over later ones. */
  readonly settings?: readonly string[]
}

export type Sshd = AsyncDisposable & {
  readonly address: string
  readonly port: number
  /** The account of this process: the one that can log in without another being made. */
  readonly user: string
  /** "SHA256:…" of each host key. */
  readonly fingerprints: Readonly<Record<HostKeyKind, string>>
  /** Lets an account log in with this public key (a line of OpenSSH's). */
  authorize(user: string, publicKey: string): Promise<void>
  /** What the server wrote so far. */
  log(): string
}

export type TestKey = {
  readonly privateKey: string
  /** One line. */
  readonly publicKey: string
}

const execFileAsync = promisify(execFile)

/** Resolves when the server listens. Disposing ends it, its sessions and its files. */
export async function openSshd(options: SshdOptions = {}): Promise<Sshd> {
  const { address = '127.0.0.1', hostKeys = ['ed25519', 'ecdsa', 'rsa'] } = options
  const program = requirePeer('sshd')
  // sshd refuses to start as root without it.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 })
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-sshd-'))
  await chmod(folder, 0o755)
  await mkdir(join(folder, 'keys'), { mode: 0o755 })
  const fingerprints = { ed25519: '', ecdsa: '', rsa: '' }
  for (const kind of hostKeys) fingerprints[kind] = await makeHostKey(join(folder, `host_${kind}`), kind)

  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort(address))
    const config = join(folder, 'sshd_config')
    await writeFile(config, configOf(options, { folder, address, port, hostKeys }))
    const server = await start(program, config)
    if (server.listens) {
      const { stop, log } = server
      return {
        address,
        port,
        user: userInfo().username,
        fingerprints,
        log,
        authorize: (user, publicKey) =>
          appendFile(join(folder, 'keys', user), `${publicKey.trim()}\n`, { mode: 0o644 }),
        [Symbol.asyncDispose]: async () => {
          await stop()
          await rm(folder, { recursive: true, force: true })
        },
      }
    }
    await server.stop()
    if (attempt === 5 || !server.log().includes('Address already in use')) {
      await rm(folder, { recursive: true, force: true })
      throw new Error(`sshd did not start: ${server.log()}`)
    }
  }
}

/** A fresh key pair; `format` is that of the private key. */
export async function makeKey(
  kind: HostKeyKind,
  { passphrase = '', format = 'openssh' }: { readonly passphrase?: string; readonly format?: 'openssh' | 'pem' } = {},
): Promise<TestKey> {
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-key-'))
  try {
    const path = join(folder, 'key')
    const bits = kind === 'rsa' ? ['-b', '2048'] : []
    const pem = format === 'pem' ? ['-m', 'PEM'] : []
    await execFileAsync('ssh-keygen', ['-q', '-t', kind, ...bits, ...pem, '-N', passphrase, '-C', 'test', '-f', path])
    return { privateKey: await readFile(path, 'utf8'), publicKey: await readFile(`${path}.pub`, 'utf8') }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function makeHostKey(path: string, kind: HostKeyKind): Promise<string> {
  const bits = kind === 'rsa' ? ['-b', '2048'] : []
  await execFileAsync('ssh-keygen', ['-q', '-t', kind, ...bits, '-N', '', '-C', 'host', '-f', path])
  const { stdout } = await execFileAsync('ssh-keygen', ['-l', '-f', path])
  return /SHA256:\S+/.exec(stdout)?.[0] ?? ''
}

function configOf(
  { sftp = 'internal', environment = {}, settings = [] }: SshdOptions,
  place: {
    readonly folder: string
    readonly address: string
    readonly port: number
    readonly hostKeys: readonly HostKeyKind[]
  },
): string {
  const words = Object.entries(environment).map(([name, value]) => `${name}="${value}"`)
  const subsystem = { internal: 'internal-sftp', external: '/usr/lib/openssh/sftp-server', off: null }[sftp]
  return [
    ...settings,
    `ListenAddress ${place.address}`,
    `Port ${place.port}`,
    ...place.hostKeys.map((kind) => `HostKey ${join(place.folder, `host_${kind}`)}`),
    `AuthorizedKeysFile ${join(place.folder, 'keys', '%u')}`,
    `PidFile none`,
    // The test's folder lies in a directory that everybody may write.
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'PermitRootLogin prohibit-password',
    'MaxStartups 100',
    'LogLevel VERBOSE',
    ...(words.length === 0 ? [] : [`SetEnv ${words.join(' ')}`]),
    ...(subsystem === null ? [] : [`Subsystem sftp ${subsystem}`]),
    '',
  ].join('\n')
}

/** Becomes the server, after leaving a watch behind that ends it when this process dies without saying goodbye. */
const guarded = 'exec 3<&0; { read -r _ <&3 || kill $$; } >/dev/null 2>&1 & exec "$@" </dev/null 3<&-'

async function start(program: string, config: string) {
  const args = ['-c', guarded, 'sh', program, '-D', '-e', '-f', config]
  const child = spawn('/bin/sh', args, { stdio: ['pipe', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  let text = ''
  const listens = await new Promise<boolean>((resolve) => {
    const late = setTimeout(() => resolve(false), 20_000)
    const lines = createInterface({ input: child.stderr })
    lines.on('line', (line) => {
      text = `${text}${line}\n`.slice(-200_000)
      if (line.startsWith('Server listening on ')) resolve(true)
    })
    lines.once('close', () => resolve(false))
    child.once('exit', () => clearTimeout(late))
  })
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    const lateKill = setTimeout(() => child.kill('SIGKILL'), 5000)
    await exited
    clearTimeout(lateKill)
    child.stdin.end('stopped\n')
  }
  child.stdin.on('error', () => undefined)
  return { listens, stop, log: () => text }
}

/** A port that was free a moment ago. */
export async function freePort(address: string): Promise<number> {
  const server = createServer().listen(0, address)
  await once(server, 'listening')
  const place = server.address()
  server.close()
  await once(server, 'close')
  if (place === null || typeof place === 'string') throw new Error('No port')
  return place.port
}
