// Strikes: the ports of one process, made to fail, stop or die at a chosen call. Calls are numbered across all processes.

import { BackupError } from '../../lib/base/errors.ts'
import type { GuestChannel, GuestNetwork, ProgramRequest } from '../../lib/ports/guest.ts'
import type { JobStore } from '../../lib/ports/job-store.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import type { Vsphere } from '../../lib/ports/vsphere.ts'

/** What becomes of the struck call and of the process that made it. */
export const BLOWS = [
  /** The call fails; it may pass by itself. */
  'unreachable',
  /** The call fails for good. */
  'refused',
  /** Broken code. */
  'broken',
  /** The process is told to stop, as before its time limit or at the end of the program. */
  'stop',
  /** The process is gone without a word; its claim lapses. */
  'kill',
] as const
export type Blow = (typeof BLOWS)[number]

export type Strike = {
  /** From 1. */
  readonly call: number
  /** Before the call takes effect, or after it did and before the caller hears of it. */
  readonly when: 'before' | 'after'
  readonly blow: Blow
}

/** One process: a handler of one message, or a mover. */
export type Process = {
  readonly name: string
  readonly stop: AbortController
  /** Never goes on. */
  dead: boolean
  /** Set while it stands still. */
  paused?: Promise<void>
  /** Called when it dies or stands still. */
  readonly onDeath: () => void
}

export type Chaos = {
  /** Names of the calls so far. */
  readonly calls: string[]
  readonly around: (process: Process) => Around
}

/** @param args what the call was made with, for those that tell calls of one name apart */
export type Around = <Result>(name: string, act: () => Promise<Result>, args?: readonly unknown[]) => Promise<Result>

type Wait = {
  readonly when: Strike['when']
  /** The whole process stands still, as a frozen container does; or just this call takes its time. */
  readonly blow: 'pause' | 'delay'
  readonly until: Promise<void>
}
/** Fails with an error of the chooser's. */
type Failure = { readonly when: Strike['when']; readonly blow: 'error'; readonly error: Error }
export type Choice = Omit<Strike, 'call'> | Wait | Failure | null

/** @param choose the strike at this call, if any; asked once for each call */
export function chaos(
  choose: (call: {
    readonly number: number
    readonly name: string
    readonly process: string
    readonly args: readonly unknown[]
  }) => Choice | Promise<Choice>,
): Chaos {
  const calls: string[] = []
  return {
    calls,
    around: (process) => async (name, act, args) => {
      if (process.dead) return never()
      const number = calls.push(name)
      const strike = await choose({ number, name, process: process.name, args: args ?? [] })
      if (strike?.when === 'before') await fall(strike, { process, name })
      await standing(process)
      const settled = await settledOf(act)
      // Whoever died meanwhile hears neither of the result nor of the failure.
      if (process.dead) return never()
      // What failed by itself needs no other failure after it; its caller can die all the same.
      const falls = strike?.when === 'after' && (settled.ok || strike.blow === 'kill' || strike.blow === 'pause')
      if (falls) await fall(strike, { process, name })
      await standing(process)
      if (settled.ok) return settled.result
      throw settled.error
    },
  }
}

/** Waits while the process stands still; one that died there never goes on. */
async function standing(process: Process): Promise<void> {
  await process.paused
  if (process.dead) await never()
}

type Settled<Result> = { readonly ok: true; readonly result: Result } | { readonly ok: false; readonly error: unknown }

async function settledOf<Result>(act: () => Promise<Result>): Promise<Settled<Result>> {
  try {
    return { ok: true, result: await act() }
  } catch (error) {
    return { ok: false, error }
  }
}

export const noChaos = (): Chaos => chaos(() => null)

/** One strike, at one call. */
export function strikeOnce(strike: Strike): Chaos {
  return chaos(({ number }) => (number === strike.call ? strike : null))
}

export function never(): Promise<never> {
  return new Promise(() => undefined)
}

async function fall(
  strike: NonNullable<Choice>,
  { process, name }: { readonly process: Process; readonly name: string },
): Promise<void> {
  switch (strike.blow) {
    case 'unreachable':
      throw new BackupError(`Cannot reach "${name}"`, { code: 'struck-unreachable', retry: 'later' })
    case 'refused':
      throw new BackupError(`Cannot use "${name}": it refuses`, { code: 'struck-refused', retry: 'no' })
    case 'broken':
      throw new Error(`"${name}" is broken`)
    case 'error':
      throw strike.error
    case 'stop':
      process.stop.abort(new DOMException('The process stops', 'AbortError'))
      return process.stop.signal.throwIfAborted()
    case 'kill':
      process.dead = true
      process.onDeath()
      return never()
    case 'pause':
      process.paused = strike.until
      process.onDeath()
      return
    case 'delay':
      return strike.until
  }
}

/** The port with every call of a method going through `around`. */
export function wrapped<Port extends object>(port: Port, name: string, around: Around): Port {
  return new Proxy(port, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property)
      if (typeof value !== 'function' || typeof property === 'symbol') return value
      return (...args: unknown[]) => around(`${name}.${property}`, async () => Reflect.apply(value, target, args), args)
    },
  })
}

export function wrappedJobStore(store: JobStore, around: Around): JobStore {
  const { runs, jobs, attempts, resources, guests, vms, policies, operations, alarms, points, doors } = store
  return {
    runs: wrapped(runs, 'runs', around),
    jobs: wrapped(jobs, 'jobs', around),
    attempts: wrapped(attempts, 'attempts', around),
    resources: wrapped(resources, 'resources', around),
    guests: wrapped(guests, 'guests', around),
    vms: wrapped(vms, 'vms', around),
    policies: wrapped(policies, 'policies', around),
    operations: wrapped(operations, 'operations', around),
    alarms: wrapped(alarms, 'alarms', around),
    points: wrapped(points, 'points', around),
    doors: wrapped(doors, 'doors', around),
    jobsOfRun: (run, cancel) => around('jobsOfRun', () => store.jobsOfRun(run, cancel)),
    dueJobs: (query, cancel) => around('dueJobs', () => store.dueJobs(query, cancel)),
    dueRuns: (query, cancel) => around('dueRuns', () => store.dueRuns(query, cancel)),
    dueOperations: (query, cancel) => around('dueOperations', () => store.dueOperations(query, cancel)),
    dueAlarms: (query, cancel) => around('dueAlarms', () => store.dueAlarms(query, cancel)),
    recentJobs: (query, cancel) => around('recentJobs', () => store.recentJobs(query, cancel)),
    recentRuns: (query, cancel) => around('recentRuns', () => store.recentRuns(query, cancel)),
    recentOperations: (query, cancel) => around('recentOperations', () => store.recentOperations(query, cancel)),
    recentAlarms: (query, cancel) => around('recentAlarms', () => store.recentAlarms(query, cancel)),
    recentPoints: (query, cancel) => around('recentPoints', () => store.recentPoints(query, cancel)),
    listPolicies: (cancel) => around('listPolicies', () => store.listPolicies(cancel)),
  }
}

export function wrappedVsphere(vsphere: Vsphere, around: Around): Vsphere {
  return {
    open: async (cancel) => {
      const session = wrapped(await around('vsphere.open', () => vsphere.open(cancel)), 'vsphere', around)
      return {
        ...session,
        openGuest: async (request, inner) => wrappedChannel(await session.openGuest(request, inner), around),
      }
    },
  }
}

/** The network, and every channel that it opens. */
export function wrappedGuests(guests: GuestNetwork, around: Around): GuestNetwork {
  const { probe, openSsh, openWinrm } = wrapped(guests, 'guests', around)
  return {
    probe,
    openSsh: async (request, cancel) => {
      const opened = await openSsh(request, cancel)
      return { ...opened, channel: wrappedChannel(opened.channel, around) }
    },
    openWinrm: async (request, cancel) => {
      const opened = await openWinrm(request, cancel)
      return { ...opened, channel: wrappedChannel(opened.channel, around) }
    },
  }
}

function wrappedChannel(channel: GuestChannel, around: Around): GuestChannel {
  const { kind, family, address } = channel
  const { whoAmI, makeDirectory, put, get, digest, remove } = wrapped(channel, 'guest', around)
  return {
    ...{ kind, family, address, whoAmI, makeDirectory, put, get, digest, remove },
    run: (request, cancel) =>
      around(`guest.run ${wordOf(request)}`, () => channel.run(request, cancel), [request, cancel]),
    [Symbol.asyncDispose]: () => around('guest.dispose', async () => channel[Symbol.asyncDispose]()),
  }
}

/** The command of the wrapper that is called ("freeze", "thaw"), else the program. */
function wordOf({ program, args }: ProgramRequest): string {
  const at = args.findIndex((word) => /\/(wrapper|coldframe-[0-9a-f]{32})\.sh$/.test(word))
  return at < 0 ? program : (args[at + 1] ?? program)
}

export function wrappedStore(store: ObjectStore, around: Around): ObjectStore {
  const { putIfAbsent, get, getRange, head } = wrapped(store, 'store', around)
  return {
    putIfAbsent,
    get,
    getRange,
    head,
    async *list(prefix, cancel) {
      await around('store.list', async () => undefined)
      yield* store.list(prefix, cancel)
    },
  }
}
