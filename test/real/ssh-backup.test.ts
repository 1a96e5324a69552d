// Whole backups with a guest behind Debian's OpenSSH server: the real stages, channel, wrapper, sudo and shell.

import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { guestNetwork } from '../../lib/adapters/guest/network.ts'
import { type AccountOptions, accountsSkip, type GuestAccount, openAccount } from '../kit/guest-account.ts'
import { credentialsOf } from '../kit/guest-credentials.ts'
import { openSshGuest, type SshGuest } from '../kit/ssh-guest.ts'
import { openTcpProxy, type TcpProxy } from '../kit/tcp-proxy.ts'
import { expectRest, pointOfJob } from '../stages/backups.ts'
import { newEngine } from '../stages/engine.ts'
import { backUpGuest, type GuestWorld, guestPolicy, newGuestWorld, storeScript } from '../stages/guest/guest-world.ts'

type Place = AsyncDisposable & {
  readonly made: GuestWorld
  readonly account: GuestAccount
  readonly guest: SshGuest
  readonly proxy: TcpProxy
  /** In memory; everybody may write there. */
  readonly folder: string
}

/** The guest's one address leads through the proxy to sshd. */
async function openPlace(options: AccountOptions): Promise<Place> {
  await using stack = new AsyncDisposableStack()
  const account = stack.use(await openAccount(options))
  const guest = stack.use(await openSshGuest({ user: account.user }))
  const proxy = stack.use(await openTcpProxy(guest.sshd))
  const folder = await mkdtemp('/dev/shm/coldframe-ssh-')
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o1777)
  const made = stack.use(await newGuestWorld({ limits: { guestOpenMs: 20_000, cleanupMs: 0 } }))
  made.tools = 'absent'
  const hostKeys = Object.values(guest.sshd.fingerprints)
  made.world.accounts.set('account', credentialsOf(account.user, { privateKey: guest.key.privateKey, hostKeys }))
  const network = guestNetwork()
  const port = proxy.port
  made.world.guests = {
    ...network,
    probe: (doors, budget, cancel) =>
      network.probe(
        doors.map(() => ({ address: '127.0.0.1', port })),
        budget,
        cancel,
      ),
    openSsh: (request, cancel) => network.openSsh({ ...request, address: '127.0.0.1', port }, cancel),
  }
  const kept = stack.move()
  return { made, account, guest, proxy, folder, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

async function scripts({ made, folder }: Place, elevated: boolean, freeze = '') {
  const line = (word: string) =>
    `read -r up rest < /proc/uptime; echo "$up" >> '${folder}/times'; echo "${word} $COLDFRAME_FREEZE $(id -u)" >> '${folder}/log'`
  const preFreeze = await storeScript(made, { name: 'freeze.sh', text: `${line('freeze')}\n${freeze}`, elevated })
  const postThaw = await storeScript(made, { name: 'thaw.sh', text: line('thaw'), elevated })
  return { preFreeze, postThaw }
}

async function logOf({ folder }: Place): Promise<readonly string[]> {
  const text = await readFile(join(folder, 'log'), 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line !== '')
}

async function workspaces(): Promise<readonly string[]> {
  const found = await Promise.all(['/run', '/dev/shm'].map((base) => readdir(base)))
  return found.flat().filter((name) => /^coldframe-[0-9a-f]{32}$/.test(name))
}

const NOISE = 'echo "welcome to .bashrc"; echo "and to stderr" >&2\n'

describe.skipIf(accountsSkip() !== undefined)('a backup of a guest behind a real sshd', () => {
  it('runs elevated scripts through sudo, in spite of a noisy shell, and leaves nothing behind', async () => {
    const files = { '.bashrc': NOISE, '.profile': NOISE, '.bash_profile': NOISE }
    await using place = await openPlace({ sudo: 'allowed', files })

    const policy = guestPolicy({ guest: { mode: 'require' }, scripts: { linux: await scripts(place, true) } })
    const job = await backUpGuest(place.made, policy)
    expect(job.outcome).toMatchObject({ kind: 'success' })
    expect((await pointOfJob(place.made.world, job))?.body.grade).toMatchObject({
      reached: 'application',
      proof: {
        user: place.account.user,
        elevated: true,
        thawedBy: 'capture',
        attempts: [{ channel: 'ssh', outcome: 'opened' }],
      },
    })
    expect(await logOf(place)).toEqual(['freeze 1 0', 'thaw 1 0'])
    expect(await workspaces()).toEqual([])
    await expectRest(newEngine(place.made.world))
  })

  it('runs plain scripts as the account itself', async () => {
    await using place = await openPlace({ sudo: 'none' })

    const policy = guestPolicy({ guest: { mode: 'require' }, scripts: { linux: await scripts(place, false) } })
    expect((await backUpGuest(place.made, policy)).outcome).toMatchObject({ kind: 'success' })
    expect(await logOf(place)).toEqual([`freeze 1 ${place.account.uid}`, `thaw 1 ${place.account.uid}`])
    expect(await workspaces()).toEqual([])
  })

  it.each(['none', 'password'] as const)('names the sudoers line where sudo is refused (%s)', async (sudo) => {
    await using place = await openPlace({ sudo, password: 'something long enough 7' })

    const policy = guestPolicy({ guest: { mode: 'require' }, scripts: { linux: await scripts(place, true) } })
    const job = await backUpGuest(place.made, policy)
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'guest-processing-failed' })
    expect(job.outcome?.message).toContain(`${place.account.user} ALL=(root) NOPASSWD: /bin/sh`)
    expect(await logOf(place)).toEqual([])
    expect(await workspaces()).toEqual([])
  })

  it('whose connection is cut in the middle of the freeze thaws by its own timer, once', {
    timeout: 90_000,
  }, async () => {
    await using place = await openPlace({ sudo: 'allowed' })

    const linux = await scripts(place, true, 'sleep 1')
    const policy = guestPolicy({ scripts: { linux, freezeLimitMs: 3_000 } })
    const watching = (async () => {
      for (let look = 0; look < 400 && (await logOf(place)).length === 0; look++)
        await new Promise((r) => setTimeout(r, 20))
      await place.proxy.close()
    })()
    const job = await backUpGuest(place.made, policy)
    await watching
    expect(job.outcome).toMatchObject({ kind: 'warning' })
    expect((await pointOfJob(place.made.world, job))?.body.grade).toMatchObject({ reached: 'filesystem' })
    for (let look = 0; look < 400 && (await logOf(place)).length < 2; look++)
      await new Promise((r) => setTimeout(r, 20))
    expect(await logOf(place)).toEqual(['freeze 1 0', 'thaw 1 0'])
    await new Promise((r) => setTimeout(r, 500))
    expect(await logOf(place)).toEqual(['freeze 1 0', 'thaw 1 0'])
    const [frozen = 0, thawed = 0] = (await readFile(join(place.folder, 'times'), 'utf8')).split('\n').map(Number)
    expect(thawed - frozen).toBeGreaterThan(2)
    expect(thawed - frozen).toBeLessThanOrEqual(3)
    for (const left of await workspaces()) await rm(join('/dev/shm', left), { recursive: true, force: true })
  })

  it('whose script hangs is thawed, its children die, and the backup goes on without it', async () => {
    await using place = await openPlace({ sudo: 'allowed' })

    const heart = `(while :; do date +%s%N > '${place.folder}/heart'; sleep 0.05; done) & sleep 600`
    const linux = await scripts(place, true, heart)
    const job = await backUpGuest(
      place.made,
      guestPolicy({ scripts: { linux: { ...linux, preFreeze: { ...linux.preFreeze, timeoutMs: 1_000 } } } }),
    )
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'grade-lower' })
    expect(job.outcome?.message).toContain('its time limit')
    const before = await readFile(join(place.folder, 'heart'), 'utf8')
    await new Promise((r) => setTimeout(r, 300))
    expect(await readFile(join(place.folder, 'heart'), 'utf8')).toBe(before)
    expect(await logOf(place)).toEqual(['freeze 1 0', 'thaw 1 0'])
    expect(await workspaces()).toEqual([])
  })
})
