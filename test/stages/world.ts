// A whole backup system in one process on a clock that runs fast: in-memory adapters, the real stages, the real mover.

import { memoryEvents } from '../../lib/adapters/memory/events.ts'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { type MemoryLog, memoryLog, memoryMetrics } from '../../lib/adapters/memory/log.ts'
import type { MemoryVm } from '../../lib/adapters/memory/machine.ts'
import { memoryMeter } from '../../lib/adapters/memory/meter.ts'
import { type MemoryNotifier, memoryNotifier } from '../../lib/adapters/memory/notifier.ts'
import { type MemoryObjectStore, memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { memoryQueue } from '../../lib/adapters/memory/queue.ts'
import { type MoverRequest, memoryMovers } from '../../lib/adapters/memory/tasks.ts'
import { type MemoryVcenter, memoryVcenter } from '../../lib/adapters/memory/vsphere.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { type ManualClock, manualClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { type Random, seededRandom, wholeNumber } from '../../lib/base/random.ts'
import type { StageMessage } from '../../lib/model/message.ts'
import { defaultPolicy, type Policy } from '../../lib/model/policy.ts'
import { DEFAULT_PRICES } from '../../lib/model/prices.ts'
import type { MoverDeps } from '../../lib/mover/deps.ts'
import { inProcessWorkers } from '../../lib/mover/in-process.ts'
import { moveJob } from '../../lib/mover/move.ts'
import type { GuestCredentials, GuestNetwork } from '../../lib/ports/guest.ts'
import type { JobStore } from '../../lib/ports/job-store.ts'
import type { KeyWrapper } from '../../lib/ports/keys.ts'
import type { MessageQueue } from '../../lib/ports/queue.ts'
import type { Tasks } from '../../lib/ports/tasks.ts'
import type { Vsphere } from '../../lib/ports/vsphere.ts'
import { createRepository } from '../../lib/repository/open-repository.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import { claimLivesUntilItsTime, defaultStageLimits, type StageDeps, type StageLimits } from '../../lib/stages/deps.ts'
import {
  type Chaos,
  never,
  noChaos,
  type Process,
  wrapped,
  wrappedGuests,
  wrappedJobStore,
  wrappedStore,
  wrappedVsphere,
} from './chaos.ts'
import { fileTransport, hotaddTransport } from './transports.ts'

export const cancel = { signal: new AbortController().signal }

/** Wraps by adding nothing: these tests need no secret. */
const plainWrapper: KeyWrapper = { kind: 'passphrase', wrap: async (key) => key, unwrap: async (blob) => blob }

export type WorldOptions = {
  readonly seed?: number
  /** A clock that runs by itself needs no advance(). */
  readonly clock?: ManualClock
  readonly limits?: Partial<StageLimits>
  readonly receivesMax?: number
  readonly visibilityMs?: number
  /** In place of those in memory. */
  readonly jobStore?: JobStore
  readonly queue?: MessageQueue
}

export type World = {
  readonly random: Random
  readonly clock: ManualClock
  readonly vcenter: MemoryVcenter
  /** What processes reach of it; at first its own port. */
  vsphere: Vsphere
  readonly jobStore: JobStore
  readonly queue: MessageQueue
  tasks: Tasks
  /** Guests over the network; at first none answers. */
  guests: GuestNetwork
  /** What policies' secrets hold. */
  readonly accounts: Map<string, GuestCredentials>
  readonly store: MemoryObjectStore
  readonly repository: Repository
  readonly log: MemoryLog
  readonly events: ReturnType<typeof memoryEvents>
  readonly notifier: MemoryNotifier
  readonly limits: StageLimits
  readonly visibilityMs: number
  /** Every message that was sent, in order. */
  readonly sent: StageMessage[]
  /** What strikes the handlers and watch, and what strikes the movers. */
  chaos: Chaos
  moverChaos: Chaos
  /** Called by the mover before it starts, for tests that hold it up. */
  beforeMove: (request: MoverRequest) => Promise<void>
  /** What becomes of a message on its way into a queue. */
  onSend: (message: StageMessage) => 'keep' | 'lose' | 'twice' | { readonly lateMs: number }
  /** Movers that run now. */
  moving: number
  /** Whether guests write while the pump turns. */
  guestsWrite: boolean
  /** As the setting COLDFRAME_MOVER_VM. */
  moverVm: string | null
  /** What one process acts through. */
  depsOf(process: Process): StageDeps
}

const WORLD_LIMITS: StageLimits = { ...defaultStageLimits, quiesceWaitMs: 1_000 }

export async function newWorld(options: WorldOptions = {}): Promise<World> {
  const random = seededRandom(options.seed ?? 1)
  const clock = options.clock ?? manualClock()
  const store = memoryObjectStore({ clock })
  const repository = await createRepository({ store, wrappers: [plainWrapper], random, clock }, cancel)
  const queue = options.queue ?? memoryQueue({ clock, receivesMax: options.receivesMax ?? 5 })
  const vcenter = memoryVcenter({ clock })
  const world: World = {
    random,
    clock,
    vcenter,
    vsphere: vcenter.vsphere,
    jobStore: options.jobStore ?? memoryJobStore(),
    queue,
    guests: silentNetwork,
    accounts: new Map(),
    tasks: memoryMovers((request, { signal }) => runMover(world, request, signal)),
    store,
    repository,
    log: memoryLog(),
    events: memoryEvents(),
    notifier: memoryNotifier(),
    limits: { ...WORLD_LIMITS, ...options.limits },
    visibilityMs: options.visibilityMs ?? 90_000,
    sent: [],
    chaos: noChaos(),
    moverChaos: noChaos(),
    beforeMove: async () => undefined,
    onSend: () => 'keep',
    moving: 0,
    guestsWrite: true,
    moverVm: null,
    depsOf: (process) => depsOf(world, process),
  }
  return world
}

function depsOf(world: World, process: Process): StageDeps {
  const around = world.chaos.around(process)
  const { clock, log, events, repository } = world
  const store = wrappedStore(world.store, around)
  return {
    clock: {
      ...clock,
      sleep: async (ms, options) => (process.dead ? never() : ofLiving(process, clock.sleep(ms, options))),
    },
    log,
    metrics: memoryMetrics(),
    meter: memoryMeter({ functionGb: 0 }),
    prices: DEFAULT_PRICES,
    events: wrapped(events, 'events', around),
    notifier: wrapped(world.notifier, 'notifier', around),
    jobStore: wrappedJobStore(world.jobStore, around),
    sender: {
      send: (message, options, { signal }) =>
        around('queue.send', async () => {
          world.sent.push(message)
          const fate = world.onSend(message)
          if (fate === 'lose') return
          const lateMs = typeof fate === 'object' ? fate.lateMs : 0
          await world.queue.send(message, { delayMs: Math.min(900_000, options.delayMs + lateMs) }, { signal })
          if (fate === 'twice') await world.queue.send(message, options, { signal })
        }),
    },
    vsphere: wrappedVsphere(world.vsphere, around),
    tasks: wrapped(world.tasks, 'tasks', around),
    random: world.random,
    guests: wrappedGuests(world.guests, around),
    guestAccount: (name) => around('guestAccount', async () => accountNamed(world, name)),
    repository: () => around('repository', async () => ({ ...repository, store })),
    limits: world.limits,
    moverVm: world.moverVm,
    isClaimLive: claimLivesUntilItsTime,
  }
}

/** Nobody answers. */
const silentNetwork: GuestNetwork = {
  probe: async (doors) => doors.map(() => ({ kind: 'silent', reason: 'connection refused' })),
  openSsh: () => Promise.reject(unreachableGuest()),
  openWinrm: () => Promise.reject(unreachableGuest()),
}

function unreachableGuest(): BackupError {
  return new BackupError('Cannot reach the guest', { code: 'guest-unreachable', retry: 'later' })
}

function accountNamed({ accounts }: World, name: string): GuestCredentials {
  const account = accounts.get(name)
  if (account !== undefined) return account
  throw new BackupError(`Cannot read secret "${name}"`, { code: 'secret-missing', kind: 'usage' })
}

/** A process that died does not wake up again. */
async function ofLiving(process: Process, waiting: Promise<void>): Promise<void> {
  await waiting
  await process.paused
  if (process.dead) await never()
}

async function runMover(world: World, request: MoverRequest, signal: AbortSignal): Promise<void> {
  const stop = new AbortController()
  const death = Promise.withResolvers<never>()
  const process: Process = {
    name: `mover/${request.attempt}`,
    stop,
    dead: false,
    onDeath: () => death.reject(new Error('killed')),
  }
  world.moving++
  try {
    await world.beforeMove(request)
    const { jobId, attempt } = request
    const holder = `mover-${request.clientToken}`
    const either = AbortSignal.any([signal, stop.signal])
    await Promise.race([
      moveJob({ jobId, attempt, holder }, moverDepsOf(world, process), { signal: either }),
      death.promise,
    ])
  } finally {
    world.moving--
  }
}

function moverDepsOf(world: World, process: Process): MoverDeps {
  const around = world.moverChaos.around(process)
  const store = wrappedStore(world.store, around)
  const { clock, random, log } = world
  const files = [fileTransport('datastore', world, around), fileTransport('nbd', world, around)]
  const transports = [...files, hotaddTransport(world, around)]
  return {
    jobs: wrappedJobStore(world.jobStore, around),
    vsphere: wrappedVsphere(world.vsphere, around),
    repository: { ...world.repository, store },
    transports,
    meter: memoryMeter({ functionGb: 0 }),
    openWorker: inProcessWorkers({ transports, store, random }),
    settings: {
      chunkLog2: 16,
      workersMax: 1,
      limits: {
        readAheadBytes: 128 * KiB,
        pieceBytes: 64 * KiB,
        readsMax: 4,
        uploadsMax: 2,
        packBytesTarget: 128 * KiB,
      },
      latency: null,
      taskSize: null,
      writer: 'test',
    },
    clock: {
      ...clock,
      sleep: async (ms, options) => (process.dead ? never() : ofLiving(process, clock.sleep(ms, options))),
    },
    random,
    log,
  }
}

export type VmOptions = { readonly name?: string; readonly diskBytes?: readonly number[]; readonly tracking?: boolean }

/** A VM whose disks hold random bytes and empty stretches. */
export function addVm(world: World, options: VmOptions = {}): MemoryVm {
  const vm = world.vcenter.addVm({ name: options.name ?? 'db-1', diskBytes: options.diskBytes ?? [512 * KiB] })
  if (options.tracking !== false) {
    vm.tracking = true
    vm.trackingReal = true
  }
  for (const disk of vm.disks) for (let write = 0; write < 3; write++) writeSome(world, vm, disk.key)
  return vm
}

/** The guest writes up to 20,000 random bytes somewhere on a disk. */
export function writeSome(world: World, vm: MemoryVm, key: number): void {
  const disk = vm.disks.find((each) => each.key === key)
  if (disk === undefined || disk.bytes.byteLength === 0) return
  const offsetBytes = wholeNumber(world.random, { low: 0, high: disk.bytes.byteLength - 1 })
  const length = Math.min(wholeNumber(world.random, { low: 1, high: 20_000 }), disk.bytes.byteLength - offsetBytes)
  world.vcenter.write(vm, { key, offsetBytes, bytes: world.random.bytes(length) })
}

export function policyWith(change: Partial<Policy> = {}): Policy {
  return { ...defaultPolicy(), ...change }
}
