// A guest over ssh: Debian's sshd with a key for an account, and the way in that tests take.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type GuestNetworkOptions, guestNetwork } from '../../lib/adapters/guest/network.ts'
import type { GuestChannel, GuestCredentials, PinRule } from '../../lib/ports/guest.ts'
import { credentialsOf } from './guest-credentials.ts'
import { makeKey, openSshd, type Sshd, type SshdOptions, type TestKey } from './sshd.ts'

const execFileAsync = promisify(execFile)

export type SshGuest = AsyncDisposable & {
  readonly sshd: Sshd
  readonly key: TestKey
  readonly credentials: GuestCredentials
}

/** @param user whose sessions they are; default: the account of this process */
export async function openSshGuest(options: SshdOptions & { readonly user?: string } = {}): Promise<SshGuest> {
  // What the start-up files of a developer's own shell do, they would do for each program of a test.
  const home = options.user === undefined ? { HOME: '/nonexistent' } : {}
  const sshd = await openSshd({ ...options, environment: { ...home, ...options.environment } })
  const key = await makeKey('ed25519')
  const user = options.user ?? sshd.user
  await sshd.authorize(user, key.publicKey)
  return {
    sshd,
    key,
    credentials: credentialsOf(user, { privateKey: key.privateKey }),
    [Symbol.asyncDispose]: () => sshd[Symbol.asyncDispose](),
  }
}

export type WayIn = {
  readonly credentials?: GuestCredentials
  readonly rule?: PinRule
  /** Another door than sshd's own. */
  readonly port?: number
  readonly signal?: AbortSignal
  readonly network?: GuestNetworkOptions
}

export async function enter(guest: SshGuest, way: WayIn = {}) {
  const { sshd } = guest
  const request = {
    address: sshd.address,
    port: way.port ?? sshd.port,
    credentials: way.credentials ?? guest.credentials,
    family: 'linux',
    rule: way.rule ?? { pins: Object.values(sshd.fingerprints).filter((pin) => pin !== ''), firstSeen: false },
  } as const
  return guestNetwork(way.network).openSsh(request, { signal: way.signal ?? new AbortController().signal })
}

export async function enterChannel(guest: SshGuest, way: WayIn = {}): Promise<GuestChannel> {
  return (await enter(guest, way)).channel
}

/** Permission bits of a path of this machine, "700". */
export async function modeOf(path: string): Promise<string> {
  const { stdout } = await execFileAsync('stat', ['-c', '%a', '--', path])
  return stdout.trim()
}
