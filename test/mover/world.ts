// Everything a mover needs, in memory: a VM, a repository, a job store; and a backup as the stages would do it.

import { memoryTarget } from '../../lib/adapters/memory/disk.ts'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryLog } from '../../lib/adapters/memory/log.ts'
import { memoryMeter } from '../../lib/adapters/memory/meter.ts'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { memoryTransport } from '../../lib/adapters/memory/transport.ts'
import { MiB } from '../../lib/base/bytes.ts'
import { manualClock, systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { jobIdOf, parsePolicyName, runIdOf, sessionIdOf } from '../../lib/model/ids.ts'
import type { Capture, Job } from '../../lib/model/job.ts'
import { newJob } from '../../lib/model/new-job.ts'
import { defaultPolicy, type Policy } from '../../lib/model/policy.ts'
import type { VmDisk } from '../../lib/model/vm.ts'
import type { MoverDeps } from '../../lib/mover/deps.ts'
import type { AttemptResult } from '../../lib/mover/hold.ts'
import { inProcessWorkers } from '../../lib/mover/in-process.ts'
import { moveJob } from '../../lib/mover/move.ts'
import type { KeyWrapper } from '../../lib/ports/keys.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import type { Transport } from '../../lib/ports/transport.ts'
import { publishCandidate } from '../../lib/repository/candidate.ts'
import { createRepository } from '../../lib/repository/open-repository.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { listPointRefs, readPoint } from '../../lib/repository/points.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import { restoreDisk } from '../../lib/restore/restore-disk.ts'
import { type TrackedVm, trackedVm, VM_ID, vmConfig } from './tracked-vm.ts'

export const cancel = { signal: new AbortController().signal }

/** Wraps by adding nothing: tests of the mover need no secret. */
export const plainWrapper: KeyWrapper = {
  kind: 'passphrase',
  wrap: async (key) => key,
  unwrap: async (blob) => blob,
}

export type World = Awaited<ReturnType<typeof moverWorld>>

export type WorldOptions = {
  readonly tracking?: boolean
  readonly chunkLog2?: number
  readonly blockBytes?: number
  /** Of what tracking calls unchanged; without it nothing is audited, and what is read is what changed. */
  readonly auditPercent?: number
  readonly store?: ObjectStore
  /** Instead of the memory transport over the VM's snapshots. */
  readonly transports?: (vm: TrackedVm) => readonly Transport[]
}

export async function moverWorld(options: WorldOptions = {}) {
  const store = options.store ?? memoryObjectStore({ clock: systemClock })
  const repository = await createRepository(
    { store, wrappers: [plainWrapper], random: systemRandom, clock: systemClock },
    cancel,
  )
  const { tracking = true, blockBytes = 65_536 } = options
  const vm = trackedVm({ tracking, blockBytes })
  const transports = options.transports?.(vm) ?? [memoryTransport({ name: 'datastore', disk: vm.frozenBytes })]
  const jobs = memoryJobStore()
  const log = memoryLog()
  const settings: MoverDeps['settings'] = {
    chunkLog2: options.chunkLog2 ?? 16,
    workersMax: 1,
    limits: { readAheadBytes: 1 * MiB, pieceBytes: 256 * 1024, readsMax: 4, uploadsMax: 2, packBytesTarget: 2 * MiB },
    latency: null,
    taskSize: null,
    writer: 'test',
  }
  const policy: Policy = {
    ...defaultPolicy(),
    transport: ['datastore', 'lease'],
    changeTracking: { auditPercent: options.auditPercent ?? 0 },
  }
  return { store, repository, vm, transports, jobs, log, settings, policy }
}

export function depsOf(world: World, change: Partial<MoverDeps> = {}): MoverDeps {
  const { vm, repository, jobs, log, settings, transports } = world
  const store = change.repository?.store ?? repository.store
  return {
    jobs,
    vsphere: vm.vsphere,
    repository,
    transports,
    meter: memoryMeter({ functionGb: 0 }),
    openWorker: inProcessWorkers({ transports, store, random: systemRandom }),
    settings,
    clock: manualClock(),
    random: systemRandom,
    log,
    ...change,
  }
}

export type Prepared = { readonly job: Job; readonly images: ReadonlyMap<number, Uint8Array> }

let prepared = 0

/** A job whose snapshot is taken. */
export async function prepare(
  world: World,
  change: Partial<Pick<Job, 'attempt' | 'state' | 'tracking' | 'notices' | 'full' | 'owes' | 'policy' | 'grant'>> = {},
): Promise<Prepared> {
  const { snapshot, disks, images } = world.vm.snapshot()
  const id = jobIdOf(runIdOf({ policy: parsePolicyName('test'), key: String(prepared++) }), VM_ID)
  const active = world.vm.behaviour.tracking
  const job: Job = {
    ...jobRecord(id, captureOf(snapshot, disks), world.policy),
    tracking: { active, reason: active ? null : 'No tracking here' },
    ...change,
  }
  await world.jobs.jobs.create(id, job, cancel)
  return { job, images }
}

export type Moved = Prepared & { readonly result: AttemptResult; readonly point: StoredPoint }

/** Prepares, moves and commits. */
export async function backup(world: World, change: Partial<MoverDeps> = {}): Promise<Moved> {
  const ready = await prepare(world)
  const result = await moveJob({ jobId: ready.job.id, attempt: 1, holder: 'test' }, depsOf(world, change), cancel)
  if (result.kind !== 'sealed') throw new Error(`the move failed: ${result.code}: ${result.message}`)
  return { ...ready, result, point: await commit(world, ready.job) }
}

export async function commit({ repository }: World, job: Job): Promise<StoredPoint> {
  const published = await publishCandidate(
    { repository, sessionId: sessionIdOf(job.id, job.attempt), clock: systemClock },
    cancel,
  )
  if (published !== 'published') throw new Error(`not published: ${JSON.stringify(published)}`)
  const point = (await allPoints(repository)).at(-1)
  if (point === undefined) throw new Error('a point was published')
  return point
}

export async function allPoints(repository: Repository): Promise<readonly StoredPoint[]> {
  const refs = await listPointRefs({ repository, vmId: VM_ID }, cancel)
  return Promise.all(refs.map((ref) => readPoint({ repository, ref }, cancel)))
}

export async function restored(repository: Repository, point: StoredPoint, diskKey: number): Promise<Uint8Array> {
  const disk = point.envelope.disks.find((candidate) => candidate.key === diskKey)
  const target = memoryTarget(disk?.capacityBytes ?? 0)
  await restoreDisk({ repository, point, diskKey, target, onProgress: () => undefined }, cancel)
  if (!target.committed()) throw new Error('the target was committed')
  return target.bytes()
}

/** The keys of disks whose restored bytes differ from their frozen image. */
export async function differingDisks(world: World, moved: Pick<Moved, 'point' | 'images'>): Promise<readonly number[]> {
  const differing: number[] = []
  for (const [key, image] of moved.images) {
    if (Buffer.compare(await restored(world.repository, moved.point, key), image) !== 0) differing.push(key)
  }
  return differing
}

function captureOf(snapshot: Capture['snapshot'], disks: readonly VmDisk[]): Capture {
  return {
    snapshotName: 'coldframe-test',
    snapshot,
    takenAt: '2026-01-01T00:00:00.000Z',
    powerState: 'poweredOn',
    grade: {
      requested: 'crash',
      reached: 'crash',
      quiesced: false,
      method: 'none',
      freezeMs: 0,
      snapshotMs: 1,
      fallbacks: [],
      proof: null,
    },
    config: vmConfig(disks),
    disks,
    excludedDisks: [],
  }
}

function jobRecord(id: Job['id'], capture: Capture, policy: Policy): Job {
  const run = { id: runIdOf({ policy: parsePolicyName('test'), key: 'run' }), policy, full: false }
  const vm = { moref: capture.snapshot, vmId: VM_ID, name: 'db-1', datacenter: 'DC' }
  return {
    ...newJob({ run, vm, groups: [], beginBefore: null, createdAt: '2026-01-01T00:00:00.000Z' }),
    id,
    state: 'transferring',
    nextStage: 'transfer',
    wakeAtMs: 0,
    tracking: { active: true, reason: null },
    capture,
  }
}
