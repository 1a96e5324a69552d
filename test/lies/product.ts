// The whole product in this process: real stages, engine and mover over SOAP and HTTPS into a repository in a folder. Only the job
// store and the queue are in memory, and movers are functions of this process.

import { createHash } from 'node:crypto'
import { folderStore } from '../../lib/adapters/local/folder-store.ts'
import { memoryEvents } from '../../lib/adapters/memory/events.ts'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { type MemoryLog, memoryLog, memoryMetrics } from '../../lib/adapters/memory/log.ts'
import { memoryMeter } from '../../lib/adapters/memory/meter.ts'
import { memoryNotifier } from '../../lib/adapters/memory/notifier.ts'
import { memoryQueue } from '../../lib/adapters/memory/queue.ts'
import { memoryMovers } from '../../lib/adapters/memory/tasks.ts'
import { datastoreTransport } from '../../lib/adapters/vsphere/datastore.ts'
import { leaseTransport } from '../../lib/adapters/vsphere/lease.ts'
import { openVsphere, type VsphereSettings } from '../../lib/adapters/vsphere/vsphere.ts'
import { KiB, MiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { claimsOf, defaultEngineLimits, type EngineParts, runEngine } from '../../lib/compose/engine.ts'
import { requestRun } from '../../lib/doors/request-run.ts'
import type { Job } from '../../lib/model/job.ts'
import { defaultPolicy, type Policy } from '../../lib/model/policy.ts'
import { DEFAULT_PRICES } from '../../lib/model/prices.ts'
import type { MoverDeps } from '../../lib/mover/deps.ts'
import { inProcessWorkers } from '../../lib/mover/in-process.ts'
import { moveJob } from '../../lib/mover/move.ts'
import { WORKER_LIMITS } from '../../lib/mover/region-worker.ts'
import type { JobStore } from '../../lib/ports/job-store.ts'
import type { KeyWrapper } from '../../lib/ports/keys.ts'
import { listAnnotations } from '../../lib/repository/annotations.ts'
import { diskReader } from '../../lib/repository/disk-reader.ts'
import { createRepository } from '../../lib/repository/open-repository.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { listPointRefs, readPoint } from '../../lib/repository/points.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import { defaultStageLimits, type StageDeps, type StageLimits } from '../../lib/stages/deps.ts'
import { HUNT_ALL, hunt } from '../../lib/stages/hunt.ts'

const cancel = { signal: new AbortController().signal }
const plainWrapper: KeyWrapper = { kind: 'passphrase', wrap: async (key) => key, unwrap: async (blob) => blob }
const ENGINE = 'engine'

/** Waits are as short as they can be without making a busy machine fail. */
const LIMITS: StageLimits = {
  ...defaultStageLimits,
  pollMs: 20,
  againFirstMs: 30,
  againMostMs: 200,
  overdueMs: 5_000,
  quiesceWaitMs: 20,
  cleanupMs: 2_000,
}

export type Product = AsyncDisposable & {
  readonly log: MemoryLog
  /** What jobs waited for since the start, in words. */
  readonly waits: readonly string[]
  /** Backs up a machine once, from the request to the job's end; files are read where the policy names no transport. */
  backUp(vm: string, policy: Partial<Policy>): Promise<Job>
  points(): Promise<readonly StoredPoint[]>
  /** Sequences of points that are marked as unproven. */
  unproven(): Promise<readonly number[]>
  /** Stages keep these limits from now on, and the usual ones otherwise. */
  limit(change: Partial<StageLimits>): void
  /** SHA-256 of each disk as a point restores it, by key. */
  digestsOf(point: StoredPoint): Promise<ReadonlyMap<number, string>>
  /** As a schedule has it. */
  hunt(): Promise<void>
  /** Places that are held, and who holds them. */
  held(): Promise<readonly string[]>
  /** What jobs still owe. */
  debts(): Promise<readonly string[]>
}

export type ProductOptions = {
  /** Of the repository. */
  readonly folder: string
  readonly settings: VsphereSettings
  /** Movers look at read latency so often; null: never. */
  readonly latencyEveryMs: number | null
}

type Stores = { readonly repository: Repository; readonly jobStore: JobStore; readonly log: MemoryLog }

/** Runs its engine until it is disposed. */
export async function openProduct({ folder, settings, latencyEveryMs }: ProductOptions): Promise<Product> {
  const { clock, random } = settings
  const repository = await createRepository(
    { store: folderStore({ path: folder }), wrappers: [plainWrapper], random, clock },
    cancel,
  )
  const waits: string[] = []
  const resources = new Set<string>()
  const jobStore = watched(memoryJobStore(), {
    onJob: (job) => {
      if (job.waitsFor !== null) waits.push(job.waitsFor)
    },
    onResource: (name) => resources.add(name),
  })
  const log = memoryLog()
  const limits = { ...LIMITS }
  const { parts, tasks } = partsOf({ repository, jobStore, log }, { settings, limits, latencyEveryMs })
  const stop = new AbortController()
  const engine = runEngine(parts, { signal: stop.signal })
  let keys = 0
  return {
    log,
    waits,
    backUp: async (vm, change) => {
      const policy: Policy = { ...defaultPolicy(), transport: ['datastore'], ...change }
      const run = await requestRun({ door: 'api', policy, vms: [vm], key: `${++keys}` }, parts.deps, cancel)
      for (;;) {
        const found = await jobStore.runs.get(run, cancel)
        if (found?.value.state === 'refused') throw new Error(`Refused: ${found.value.refusal?.message}`)
        const [job] = await jobStore.jobsOfRun(run, cancel)
        if (job?.state === 'done') return job
        await Promise.race([clock.sleep(10, cancel), engine])
      }
    },
    points: async () => {
      const refs = await listPointRefs({ repository }, cancel)
      return Promise.all(refs.map((ref) => readPoint({ repository, ref }, cancel)))
    },
    unproven: async () => {
      const { annotations } = await listAnnotations({ repository }, cancel)
      return annotations.filter(({ kind }) => kind === 'unproven').map(({ sequence }) => sequence)
    },
    limit: (change) => void Object.assign(limits, LIMITS, change),
    digestsOf: (point) => digestsOf(repository, point),
    hunt: async () => void (await hunt(HUNT_ALL, parts.deps, cancel)),
    held: async () => {
      const found = await Promise.all([...resources].map((name) => jobStore.resources.get(name, cancel)))
      return found.flatMap((each) =>
        (each?.value.places ?? []).map(({ holder }) => `"${holder}" holds a place of "${each?.value.name}"`),
      )
    },
    debts: async () => {
      const jobs = await jobStore.recentJobs({ limit: 100 }, cancel)
      return jobs.flatMap(({ owes, notices }) =>
        notices.some(({ code }) => code === 'left-behind') ? [] : owes.map((debt) => JSON.stringify(debt)),
      )
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort(new Error('enough'))
      await engine
      await tasks.settled()
    },
  }
}

function partsOf(
  stores: Stores,
  { settings, limits, latencyEveryMs }: Omit<ProductOptions, 'folder'> & { readonly limits: StageLimits },
) {
  const { clock, random } = settings
  const { repository, jobStore, log } = stores
  const tasks = memoryMovers(async ({ jobId, attempt, clientToken }, { signal }) => {
    await moveJob({ jobId, attempt, holder: clientToken }, moverDepsOf(stores, { settings, latencyEveryMs }), {
      signal,
    })
  })
  const queue = memoryQueue({ clock, receivesMax: 5 })
  const deps: StageDeps = {
    ...{ clock, random, log, jobStore, tasks, limits, sender: queue },
    vsphere: openVsphere(settings),
    metrics: memoryMetrics(),
    meter: memoryMeter({ functionGb: 0 }),
    prices: DEFAULT_PRICES,
    events: memoryEvents(),
    notifier: memoryNotifier(),
    guests: {
      probe: async (doors) => doors.map(() => ({ kind: 'silent', reason: 'connection refused' })),
      openSsh: noGuest,
      openWinrm: noGuest,
    },
    guestAccount: noGuest,
    repository: async () => repository,
    moverVm: null,
    isClaimLive: claimsOf(ENGINE),
  }
  const parts: EngineParts = {
    ...{ deps, queue, engineId: ENGINE, runningMax: 4 },
    limits: { ...defaultEngineLimits, idleMs: 5, watchMs: 100, againMs: 50 },
    isEnding: () => false,
  }
  return { parts, tasks }
}

function moverDepsOf(
  { repository, jobStore, log }: Stores,
  { settings, latencyEveryMs }: Omit<ProductOptions, 'folder'>,
): MoverDeps {
  const { clock, random } = settings
  const transports = [datastoreTransport(settings), leaseTransport(settings)]
  const latency = latencyEveryMs === null ? null : { latencyStartMs: 20, latencyStopMs: 30, everyMs: latencyEveryMs }
  const small = { readAheadBytes: 256 * KiB, pieceBytes: 64 * KiB, uploadsMax: 2, packBytesTarget: MiB }
  return {
    ...{ jobs: jobStore, repository, transports, clock, random, log },
    vsphere: openVsphere(settings),
    meter: memoryMeter({ functionGb: 0 }),
    openWorker: inProcessWorkers({ transports, store: repository.store, random }),
    settings: {
      chunkLog2: 16,
      workersMax: 1,
      limits: { ...WORKER_LIMITS, ...small },
      latency,
      taskSize: null,
      writer: 'lies',
    },
  }
}

async function digestsOf(repository: Repository, { envelope }: StoredPoint): Promise<ReadonlyMap<number, string>> {
  const digests = new Map<number, string>()
  for (const disk of envelope.disks) {
    const target = new Uint8Array(disk.capacityBytes)
    const reader = diskReader({ repository, domain: envelope.vmId, disk, cacheBytesMax: 0 })
    await reader.readRange({ offsetBytes: 0, target }, cancel)
    digests.set(disk.key, createHash('sha256').update(target).digest('hex'))
  }
  return digests
}

type Watcher = { readonly onJob: (job: Job) => void; readonly onResource: (name: string) => void }

/** Tells of every record of a job that is written, and of every resource that is made. */
function watched(store: JobStore, { onJob, onResource }: Watcher): JobStore {
  const { jobs, resources } = store
  return {
    ...store,
    resources: {
      ...resources,
      create: (name, value, within) => {
        onResource(name)
        return resources.create(name, value, within)
      },
    },
    jobs: {
      ...jobs,
      replace: (id, next, within) => {
        onJob(next.value)
        return jobs.replace(id, next, within)
      },
    },
  }
}

function noGuest(): Promise<never> {
  return Promise.reject(new BackupError('Cannot reach the guest', { code: 'guest-unreachable', retry: 'later' }))
}
