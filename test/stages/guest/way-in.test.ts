// The way into a guest: order, reasons, what a refusal ends, whom to trust, and accounts that were rotated.

import { describe, expect, it } from 'vitest'
import { memoryGuestChannel } from '../../../lib/adapters/memory/guest-channel.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { runIdOf } from '../../../lib/model/ids.ts'
import { newJob } from '../../../lib/model/new-job.ts'
import { defaultPolicy, type Policy } from '../../../lib/model/policy.ts'
import type { GuestChannel, GuestCredentials, GuestNetwork, PinRule } from '../../../lib/ports/guest.ts'
import { findWayIn, whyNoWayIn } from '../../../lib/stages/guest/way-in.ts'
import { credentialsOf } from '../../kit/guest-credentials.ts'
import type { Process } from '../chaos.ts'
import { addVm, cancel, newWorld, type World } from '../world.ts'

const KEY = 'AAAAC3NzaC1lZDI1NTE5AAAAIIYcs3Pkz7mGkSZSGYLYsVbTkXDVeEqGkJ0kSDC0hXu2'
/** What ssh-keygen -lf prints of KEY. */
const FINGERPRINT = await fingerprint(KEY)
const OTHER = `SHA256:${'B'.repeat(43)}`

async function fingerprint(blob: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', Buffer.from(blob, 'base64'))
  return `SHA256:${Buffer.from(digest).toString('base64').replace(/=+$/, '')}`
}

const account = credentialsOf('backup', { password: 'secret' })

/** How a guest's own sshd and VMware Tools behave. */
type GuestSide = {
  /** Addresses that answer; others are silent. */
  readonly answers: readonly string[]
  readonly hostKey: string
  password: string
  readonly tools: 'ok' | 'absent' | 'refused'
  /** What /etc/ssh/ssh_host_*_key.pub says. */
  readonly publicKeys: string
  /** Rules that were used to open a network door. */
  readonly rules: PinRule[]
}

function guestSide(change: Partial<GuestSide> = {}): GuestSide {
  const keys = `ssh-ed25519 ${KEY} root@guest\n`
  return {
    answers: ['192.0.2.1'],
    hostKey: FINGERPRINT,
    password: 'secret',
    tools: 'ok',
    publicKeys: keys,
    rules: [],
    ...change,
  }
}

function channelOf(kind: 'ssh' | 'winrm' | 'vix', side: GuestSide): GuestChannel {
  const shell = async () => ({ exitCode: 0, timedOut: false, stdout: `noise\n${side.publicKeys}`, stderr: '' })
  const guest = { user: 'backup', elevated: false, files: new Map(), programs: new Map([['/bin/sh', shell]]) }
  return { ...memoryGuestChannel(guest), kind }
}

function refused(code: string): BackupError {
  return new BackupError(`The guest says ${code}`, { code, kind: 'refused' })
}

function networkOf(side: GuestSide): GuestNetwork {
  return {
    probe: async (doors) =>
      doors.map(({ address }) =>
        side.answers.includes(address) ? { kind: 'answers', elapsedMs: 1 } : { kind: 'silent', reason: 'no answer' },
      ),
    openSsh: async ({ credentials, rule }) => {
      side.rules.push(rule)
      if (rule.pins.length > 0 && !rule.pins.includes(side.hostKey)) throw refused('guest-host-key-changed')
      if (rule.pins.length === 0 && !rule.firstSeen) throw refused('guest-host-key-unknown')
      if (credentials.password !== side.password) throw refused('guest-login-refused')
      return { channel: channelOf('ssh', side), seen: side.hostKey, warnings: [] }
    },
    openWinrm: async ({ rule }) => {
      side.rules.push(rule)
      return { channel: channelOf('winrm', side), seen: 'ab'.repeat(32), warnings: [] }
    },
  }
}

type Setting = {
  readonly side?: GuestSide
  readonly guest?: Partial<Policy['guest']>
  readonly addresses?: readonly string[]
  readonly toolsRunning?: boolean
  readonly family?: 'linux' | 'windows' | 'other'
  /** What the secret holds at each read; the last one stays. */
  readonly secrets?: readonly GuestCredentials[]
  readonly world?: World
}

async function look(setting: Setting = {}) {
  const world = setting.world ?? (await newWorld())
  const side = setting.side ?? guestSide()
  const vm = world.vcenter.vms[0] ?? addVm(world)
  vm.family = setting.family ?? 'linux'
  vm.toolsRunning = setting.toolsRunning ?? true
  vm.ipAddresses = setting.addresses ?? ['192.0.2.1']
  vm.openGuest = async () => {
    if (side.tools === 'ok') return channelOf('vix', side)
    throw refused(side.tools === 'absent' ? 'guest-unreachable' : 'guest-login-refused')
  }
  world.guests = networkOf(side)
  const secrets = [...(setting.secrets ?? [account])]
  const process: Process = { name: 'test', stop: new AbortController(), dead: false, onDeath: () => undefined }
  const deps = {
    ...world.depsOf(process),
    guestAccount: async () => (secrets.length > 1 ? secrets.shift() : secrets[0]) ?? account,
  }
  const policy: Policy = {
    ...defaultPolicy(),
    guest: { ...defaultPolicy().guest, mode: 'try', credentials: 'account', hostKey: 'first-seen', ...setting.guest },
  }
  const run = { id: runIdOf({ policy: policy.name, key: 'k' }), policy, full: false }
  const job = newJob({
    run,
    vm: { ...vm, datacenter: 'DC' },
    groups: [],
    beginBefore: null,
    createdAt: '2026-01-02T03:04:05.000Z',
  })
  await using session = await deps.vsphere.open(cancel)

  const way = await findWayIn({ session, vm: await session.readVm(vm.moref, cancel), job }, deps, cancel)
  const trust = (await world.jobStore.guests.get(vm.vmId, cancel))?.value ?? null
  const tried = way.attempts.map(({ channel, address, outcome }) => `${channel} ${address ?? '-'} ${outcome}`)
  return { way, kind: way.entered?.channel.kind ?? null, tried, trust, world, side }
}

describe('findWayIn()', () => {
  it('takes the network first, and VMware Tools when nobody answers there', async () => {
    expect((await look()).tried).toEqual(['ssh 192.0.2.1 opened'])
    const failedOver = await look({ side: guestSide({ answers: [] }) })
    expect(failedOver.tried).toEqual(['ssh 192.0.2.1 unreachable', 'vix - opened'])
    expect(failedOver.way.attempts[0]?.reason).toBe('no answer')
  })

  it('takes VMware Tools first where the policy says so', async () => {
    const order = ['vix', 'network'] as const
    expect((await look({ guest: { order } })).tried).toEqual(['vix - opened'])
    expect((await look({ guest: { order }, side: guestSide({ tools: 'absent' }) })).tried).toEqual([
      'vix - unreachable',
      'ssh 192.0.2.1 opened',
    ])
  })

  it('records the losers, and why addresses were not tried', async () => {
    const side = guestSide({ answers: ['2001:db8::1'] })
    const { tried } = await look({
      side,
      addresses: ['192.0.2.1', '198.51.100.9', '2001:db8::1', 'fe80::1'],
      guest: { subnets: { only: [], none: ['198.51.100.0/24'] } },
    })
    expect(tried).toEqual([
      'ssh 198.51.100.9 impossible',
      'ssh fe80::1 impossible',
      'ssh 192.0.2.1 unreachable',
      'ssh 2001:db8::1 opened',
    ])
  })

  it('does not go round a refusal by another way in', async () => {
    const { way, tried } = await look({ side: guestSide({ password: 'changed' }) })
    expect(tried).toEqual(['ssh 192.0.2.1 refused'])
    expect(way).toMatchObject({ entered: null, refused: true })
    expect(whyNoWayIn(way)).toContain('guest-login-refused')
    expect((await look({ guest: { order: ['vix', 'network'] }, side: guestSide({ tools: 'refused' }) })).tried).toEqual(
      ['vix - refused'],
    )
  })

  it('reads the account once more when the guest refuses it, and no more than once', async () => {
    const side = guestSide({ password: 'new' })
    const { kind, tried } = await look({ side, secrets: [account, account, { ...account, password: 'new' }] })
    expect(kind).toBe('ssh')
    expect(tried).toEqual(['ssh 192.0.2.1 opened'])
    const never = guestSide({ password: 'never' })
    const wrong = Array.from({ length: 9 }, (_, index) => ({ ...account, password: `wrong ${index}` }))
    expect((await look({ side: never, secrets: wrong })).tried).toEqual(['ssh 192.0.2.1 refused'])
    expect(never.rules).toHaveLength(2)
  })

  it('says that Tools do not run, and tries only what remains possible', async () => {
    const { tried, way } = await look({ toolsRunning: false, side: guestSide({ tools: 'absent' }) })
    expect(tried).toEqual(['ssh - impossible', 'vix - unreachable'])
    expect(way.attempts[0]?.reason).toContain('VMware Tools do not run')
  })

  it('needs an account and a family', async () => {
    const { tried, way } = await look({ guest: { credentials: null } })
    expect(tried).toEqual(['ssh 192.0.2.1 impossible', 'vix - impossible'])
    expect(whyNoWayIn(way)).toContain('guest.credentials')
    expect((await look({ family: 'other' })).tried).toEqual(['ssh - impossible', 'vix - impossible'])
  })

  it('goes into Windows by WinRM', async () => {
    const { kind, trust } = await look({ family: 'windows' })
    expect(kind).toBe('winrm')
    expect(trust).toMatchObject({ certificates: { pins: ['ab'.repeat(32)] }, hostKeys: null })
  })

  it('uses a key for VMware Tools only with an account of theirs', async () => {
    const key: GuestCredentials = { ...account, password: null, privateKey: 'key' }
    const silent = guestSide({ answers: [] })
    expect((await look({ side: silent, secrets: [key] })).tried).toEqual([
      'ssh 192.0.2.1 unreachable',
      'vix - impossible',
    ])
    const both = { ...key, vix: { user: 'root', password: 'x' } }
    expect((await look({ side: silent, secrets: [both] })).kind).toBe('vix')
  })
})

describe('host keys', () => {
  it('are read through VMware Tools and pinned, where none is known', async () => {
    const { kind, trust, side } = await look({ guest: { hostKey: 'pinned' } })
    expect(kind).toBe('ssh')
    expect(trust).toMatchObject({ hostKeys: { pins: [FINGERPRINT], learned: 'vix' } })
    expect(side.rules).toEqual([{ pins: [FINGERPRINT], firstSeen: false }])
  })

  it('that nobody knows are refused, and no other way in is tried', async () => {
    const { tried, trust } = await look({ guest: { hostKey: 'pinned' }, side: guestSide({ tools: 'absent' }) })
    expect(tried).toEqual(['ssh 192.0.2.1 refused'])
    expect(trust).toBeNull()
  })

  it('are trusted as first seen only if the policy says so, with a warning, and pinned from then on', async () => {
    const first = await look()
    expect(first.way.warnings[0]).toContain('first seen')
    expect(first.trust).toMatchObject({ hostKeys: { pins: [FINGERPRINT], learned: 'first-seen' } })
    const later = await look({ world: first.world, side: guestSide({ hostKey: OTHER, tools: 'absent' }) })
    expect(later.tried).toEqual(['ssh 192.0.2.1 refused'])
  })

  it('that changed are accepted only when the guest itself says so through VMware Tools', async () => {
    const first = await look({ side: guestSide({ hostKey: OTHER }) })
    expect(first.trust?.hostKeys?.pins).toEqual([OTHER])
    const honest = await look({ world: first.world, side: guestSide({ hostKey: FINGERPRINT }) })
    expect(honest.kind).toBe('ssh')
    expect(honest.way.warnings[0]).toContain('changed')
    expect(honest.trust).toMatchObject({ hostKeys: { pins: [FINGERPRINT], learned: 'vix' } })
    const imposter = await look({ world: honest.world, side: guestSide({ hostKey: OTHER }) })
    expect(imposter.tried).toEqual(['ssh 192.0.2.1 refused'])
    expect(imposter.trust?.hostKeys?.pins).toEqual([FINGERPRINT])
  })

  it('that the operator pins beat everything that was learned', async () => {
    const pinned = { ...account, hostKeys: [OTHER] }
    expect((await look({ secrets: [pinned] })).tried).toEqual(['ssh 192.0.2.1 refused'])
    expect((await look({ secrets: [pinned], side: guestSide({ hostKey: OTHER }) })).kind).toBe('ssh')
  })

  it('that were trusted as first seen are not pinned once the policy asks for pins', async () => {
    const first = await look()
    const world = first.world
    const silent = guestSide({ tools: 'absent' })
    expect((await look({ world, guest: { hostKey: 'pinned' }, side: silent })).tried).toEqual(['ssh 192.0.2.1 refused'])
    const asked = await look({ world, guest: { hostKey: 'pinned' } })
    expect(asked.trust?.hostKeys).toMatchObject({ pins: [FINGERPRINT], learned: 'vix' })
  })
})
