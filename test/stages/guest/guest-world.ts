// The test world in real time, with a guest made of processes: the real stages, engine and mover, real scripts in a real shell.

import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import type { MemoryVm } from '../../../lib/adapters/memory/machine.ts'
import { type ManualClock, systemClock } from '../../../lib/base/clock.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { defaultEngineLimits, runEngine } from '../../../lib/compose/engine.ts'
import type { ChannelKind } from '../../../lib/model/guest.ts'
import type { Job } from '../../../lib/model/job.ts'
import { defaultPolicy, type Policy, type ScriptBundle } from '../../../lib/model/policy.ts'
import type { GuestChannel, GuestNetwork } from '../../../lib/ports/guest.ts'
import type { StageLimits } from '../../../lib/stages/deps.ts'
import { credentialsOf } from '../../kit/guest-credentials.ts'
import { openProcessGuest, type ProcessGuest } from '../../kit/process-guest.ts'
import { request } from '../backups.ts'
import type { Process } from '../chaos.ts'
import { isOver, jobsOf } from '../engine.ts'
import { addVm, cancel, newWorld, type World } from '../world.ts'

/** What becomes of a way in: it opens, or what its door says. */
export type Door = 'ok' | 'refused' | 'times-out' | 'login-refused' | 'absent' | 'non-root'

export type GuestWorld = AsyncDisposable & {
  readonly world: World
  readonly vm: MemoryVm
  readonly guest: ProcessGuest
  network: Door
  tools: Door
  /** Channels that were opened, in order. */
  readonly opened: ChannelKind[]
  /** Called with each channel before it is handed out. */
  onOpen: (channel: GuestChannel) => GuestChannel
}

const realClock: ManualClock = { ...systemClock, advance: () => undefined, sleepers: () => 0 }

const FAST: Partial<StageLimits> = {
  claimMs: 5_000,
  overdueMs: 2_000,
  pollMs: 20,
  againFirstMs: 20,
  againMostMs: 100,
  quiesceWaitMs: 20,
  guestOpenMs: 5_000,
  freezeStartMs: 5_000,
  thawCallMs: 10_000,
  thawMarginMs: 100,
}

export const ACCOUNT = credentialsOf('root', { password: 'secret', hostKeys: ['SHA256:pinned'] })

export async function newGuestWorld(options: { readonly limits?: Partial<StageLimits> } = {}): Promise<GuestWorld> {
  const guest = await openProcessGuest()
  const world = await newWorld({ clock: realClock, limits: { ...FAST, ...options.limits } })
  const vm = addVm(world)
  vm.ipAddresses = ['192.0.2.1']
  world.accounts.set('account', ACCOUNT)
  const made: GuestWorld = {
    world,
    vm,
    guest,
    network: 'ok',
    tools: 'ok',
    opened: [],
    onOpen: (channel) => channel,
    [Symbol.asyncDispose]: () => guest[Symbol.asyncDispose](),
  }
  world.guests = networkOf(made)
  vm.openGuest = async () => enter(made, 'vix', made.tools)
  return made
}

function networkOf(made: GuestWorld): GuestNetwork {
  const silent = { kind: 'silent' } as const
  return {
    probe: async (doors) =>
      doors.map(() => {
        if (made.network === 'refused') return { ...silent, reason: 'connection refused' }
        if (made.network === 'times-out') return { ...silent, reason: 'no answer within 3 s' }
        return { kind: 'answers', elapsedMs: 1 }
      }),
    openSsh: async () => ({ channel: await enter(made, 'ssh', made.network), seen: 'SHA256:pinned', warnings: [] }),
    openWinrm: async () => Promise.reject(failure('guest-unreachable', 'This guest has no WinRM')),
  }
}

async function enter(made: GuestWorld, kind: ChannelKind, door: Door): Promise<GuestChannel> {
  if (door === 'login-refused') throw failure('guest-login-refused', 'The guest refuses the account "root"')
  if (door === 'absent') throw failure('guest-unreachable', 'VMware Tools do not run in the guest')
  if (door === 'refused' || door === 'times-out') throw failure('guest-unreachable', 'The connection is refused')
  made.opened.push(kind)
  const channel = made.guest.open({ kind, address: kind === 'vix' ? null : '192.0.2.1' })
  return made.onOpen(door === 'non-root' ? withoutRoot(channel) : channel)
}

/** As VMware Tools are with an account that is not root: nothing elevates there. */
function withoutRoot(channel: GuestChannel): GuestChannel {
  const whyNot = 'the account is not root, and nothing elevates over VMware Tools'
  return {
    ...channel,
    whoAmI: async (within) => ({ ...(await channel.whoAmI(within)), elevated: false, whyNot }),
    run: async (asked, within) => {
      if (asked.elevated) throw failure('guest-elevation-refused', whyNot)
      return channel.run(asked, within)
    },
  }
}

function failure(code: string, message: string): BackupError {
  return new BackupError(message, { code, ...(code === 'guest-unreachable' ? { retry: 'later' as const } : {}) })
}

/** Stores a script beside the repository, as "coldframe script" does. */
export async function storeScript(
  { world }: GuestWorld,
  script: { readonly name: string; readonly text: string } & Partial<ScriptBundle>,
): Promise<ScriptBundle> {
  const { name, text, ...rest } = script
  const bytes = new TextEncoder().encode(text)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const key = `scripts/${sha256.slice(0, 8)}/${name}`
  await world.store.putIfAbsent({ key, bytes }, cancel)
  return { bundle: key, sha256, entry: name, timeoutMs: 5_000, successCodes: [0], elevated: false, ...rest }
}

export function guestPolicy(change: {
  readonly guest?: Partial<Policy['guest']>
  readonly consistency?: Partial<Policy['consistency']>
  readonly scripts?: Partial<Policy['scripts']>
}): Policy {
  const base = defaultPolicy()
  return {
    ...base,
    consistency: { ...base.consistency, want: 'application', ...change.consistency },
    guest: { ...base.guest, mode: 'try', credentials: 'account', ...change.guest },
    scripts: { ...base.scripts, freezeLimitMs: 10_000, ...change.scripts },
  }
}

/** One process that works on the queues until it is stopped or dies. */
export function startEngine({ world }: GuestWorld, name: string, watchMs = 200) {
  const process: Process = { name, stop: new AbortController(), dead: false, onDeath: () => undefined }
  const parts = {
    deps: world.depsOf(process),
    queue: world.queue,
    engineId: name,
    runningMax: 4,
    limits: { ...defaultEngineLimits, idleMs: 10, watchMs, againMs: 20 },
    isEnding: () => false,
  }
  const running = runEngine(parts, { signal: process.stop.signal })
  return {
    process,
    [Symbol.asyncDispose]: async () => {
      process.stop.abort()
      if (!process.dead) await running
    },
  }
}

/** From the request until the only job is done. */
export async function backUpGuest(made: GuestWorld, policy: Policy): Promise<Job> {
  await using _engine = startEngine(made, 'engine')

  const id = await request(made.world, { vms: [made.vm.name], policy })
  const endMs = Date.now() + 60_000
  while (!(await isOver(made.world, id))) {
    if (Date.now() > endMs) throw new Error('The backup did not end within 60 s')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const [job] = await jobsOf(made.world, id)
  if (job === undefined) throw new Error('The run has no job')
  return job
}

/** Names in the guest's memory that are ours. */
export async function workspacesIn({ guest }: GuestWorld): Promise<readonly string[]> {
  return (await readdir(guest.place.memory)).filter((name) => name.startsWith('coldframe-'))
}
