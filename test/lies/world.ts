// One simulated vCenter and the whole product against it in this process: real stages, engine and mover over SOAP and HTTPS into a
// repository in a folder. Only the job store and the queue are in memory.

import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { folderStore } from '../../lib/adapters/local/folder-store.ts'
import { memoryEvents } from '../../lib/adapters/memory/events.ts'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryLog, memoryMetrics } from '../../lib/adapters/memory/log.ts'
import { memoryQueue } from '../../lib/adapters/memory/queue.ts'
import { memoryTasks } from '../../lib/adapters/memory/tasks.ts'
import { datastoreTransport } from '../../lib/adapters/vsphere/datastore.ts'
import { openVsphere, type VsphereSettings } from '../../lib/adapters/vsphere/vsphere.ts'
import { KiB, MiB } from '../../lib/base/bytes.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { claimsOf, defaultEngineLimits, type EngineParts, runEngine } from '../../lib/compose/engine.ts'
import { requestRun } from '../../lib/doors/request-run.ts'
import type { Job } from '../../lib/model/job.ts'
import { defaultPolicy, type Policy } from '../../lib/model/policy.ts'
import type { MoverDeps } from '../../lib/mover/deps.ts'
import { inProcessWorkers } from '../../lib/mover/in-process.ts'
import { moveJob } from '../../lib/mover/move.ts'
import type { JobStore } from '../../lib/ports/job-store.ts'
import type { KeyWrapper } from '../../lib/ports/keys.ts'
import { diskReader } from '../../lib/repository/disk-reader.ts'
import { createRepository } from '../../lib/repository/open-repository.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { listPointRefs, readPoint } from '../../lib/repository/points.ts'
import { defaultStageLimits, type StageDeps, type StageLimits } from '../../lib/stages/deps.ts'
import { actOn } from '../../sim/estate/act.ts'
import { diskOf, type MachineDescription, machineOf, plainEstate } from '../../sim/estate/description.ts'
import { Estate } from '../../sim/estate/estate.ts'
import { calm, Scenario } from '../../sim/scenario.ts'
import { plainServer, startServer } from '../../sim/server.ts'
import { type ServerIdentity, selfSigned } from '../../sim/tls.ts'

const cancel = { signal: new AbortController().signal }
const plainWrapper: KeyWrapper = { kind: 'passphrase', wrap: async (key) => key, unwrap: async (blob) => blob }
const VM = 'db-01'
const USER = { userName: 'backup', password: 'right' }

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

let identity: ServerIdentity | null = null

export type LieWorld = AsyncDisposable & {
  readonly estate: Estate
  readonly scenario: Scenario
  readonly log: ReturnType<typeof memoryLog>
  /** Backs up the machine once, from the request to the job's end. */
  backUp(policy?: Partial<Policy>): Promise<Job>
  points(): Promise<readonly StoredPoint[]>
  /** Keys of disks whose restored bytes are not those that the point's snapshot froze. */
  wrongDisks(point: StoredPoint): Promise<readonly number[]>
  /** What jobs waited for since the start, in words. */
  readonly waits: readonly string[]
  /** What is held by jobs in shared resources. */
  places(): Promise<readonly string[]>
}

export type LieWorldOptions = {
  readonly seed: number
  readonly machine?: Partial<MachineDescription>
  readonly limits?: Partial<StageLimits>
}

/** A tracked, running machine "db-01" with disks of 2 and 1 MiB on "ds1"; a second datastore "ds2", a second host. */
export async function openLieWorld(options: LieWorldOptions): Promise<LieWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-lies-'))
  const clock = systemClock
  const random = seededRandom(options.seed)
  const machines = [
    machineOf({
      name: VM,
      changeTracking: true,
      disks: [diskOf({ capacityBytes: 2 * MiB }), diskOf({ capacityBytes: MiB })],
      ...options.machine,
    }),
  ]
  const estate = new Estate({ ...plainEstate, seed: options.seed, machines }, { directory: null, clock })
  const scenario = new Scenario({ ...calm, seed: options.seed }, (wish) => void actOn(estate, wish))
  // The counters of change ids have room to go back.
  for (const machine of estate.named(VM)) {
    for (let cut = 0; cut < 3; cut++)
      machine.createSnapshot({ name: 'old', description: '', quiesce: { kind: 'none' } })
    machine.removeAllSnapshots()
  }
  identity ??= selfSigned({ nowMs: clock.nowMs(), random })
  const server = await startServer({
    ...plainServer,
    ...{ estate, scenario, clock, random, identity, users: [USER], snapshotMs: 5, taskMs: 5 },
  })
  const settings: VsphereSettings = {
    url: server.url,
    user: USER.userName,
    password: async () => USER.password,
    trust: { kind: 'thumbprint', sha256: server.thumbprintSha256 },
    clock,
    random,
  }
  const product = await openProduct({ folder, settings, limits: { ...LIMITS, ...options.limits } })
  return {
    estate,
    scenario,
    log: product.log,
    backUp: product.backUp,
    waits: product.waits,
    points: product.points,
    wrongDisks: async (point) => {
      const restored = await product.digestsOf(point)
      const name = product.snapshotNameOf(point)
      // One whose making was in doubt is made anew under the same name: the moment tells them apart.
      const frozen = estate.ledger
        .reports()
        .findLast((one) => one.snapshot === name && one.createdAt === point.envelope.capturedAt)
      if (frozen === undefined) throw new Error(`Nothing was frozen as "${name}"`)
      return frozen.disks.flatMap(({ deviceKey, sha256 }) => (restored.get(deviceKey) === sha256 ? [] : [deviceKey]))
    },
    places: product.places,
    [Symbol.asyncDispose]: async () => {
      await product[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
      estate[Symbol.dispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

type ProductOptions = {
  readonly folder: string
  readonly settings: VsphereSettings
  readonly limits: StageLimits
}

async function openProduct({ folder, settings, limits }: ProductOptions) {
  const { clock, random } = settings
  const store = folderStore({ path: folder })
  const repository = await createRepository({ store, wrappers: [plainWrapper], random, clock }, cancel)
  const waits: string[] = []
  const jobStore = watched(memoryJobStore(), (job) => {
    if (job.waitsFor !== null) waits.push(job.waitsFor)
  })
  const queue = memoryQueue({ clock, receivesMax: 5 })
  const log = memoryLog()
  const vsphere = openVsphere(settings)
  const moverDeps = (): MoverDeps => {
    const transports = [datastoreTransport(settings)]
    return {
      ...{ jobs: jobStore, vsphere, repository, transports, clock, random, log },
      openWorker: inProcessWorkers({ transports, store, random }),
      settings: {
        chunkLog2: 16,
        workersMax: 1,
        limits: { readAheadBytes: 256 * KiB, pieceBytes: 64 * KiB, uploadsMax: 2, packBytesTarget: MiB },
        writer: 'lies',
      },
    }
  }
  const tasks = memoryTasks(async ({ jobId, attempt, clientToken }, { signal }) => {
    await moveJob({ jobId, attempt, holder: clientToken }, moverDeps(), { signal })
  })
  const engineId = 'engine'
  const deps: StageDeps = {
    ...{ clock, random, log, jobStore, vsphere, tasks, limits, sender: queue },
    metrics: memoryMetrics(),
    events: memoryEvents(),
    guests: {
      probe: async (doors) => doors.map(() => ({ kind: 'silent', reason: 'connection refused' })),
      openSsh: noGuest,
      openWinrm: noGuest,
    },
    guestAccount: noGuest,
    repository: async () => repository,
    isClaimLive: claimsOf(engineId),
  }
  const engineLimits = { ...defaultEngineLimits, idleMs: 5, watchMs: 100, againMs: 50 }
  const parts: EngineParts = {
    ...{ deps, queue, engineId, runningMax: 4, limits: engineLimits },
    isEnding: () => false,
  }
  const stop = new AbortController()
  const engine = runEngine(parts, { signal: stop.signal })
  let keys = 0
  const points = async () => {
    const refs = await listPointRefs({ repository }, cancel)
    return Promise.all(refs.map((ref) => readPoint({ repository, ref }, cancel)))
  }
  return {
    log,
    points,
    waits,
    backUp: async (change: Partial<Policy> = {}): Promise<Job> => {
      const policy = { ...defaultPolicy(), ...change }
      const run = await requestRun({ door: 'api', policy, vms: [VM], key: `${++keys}` }, deps, cancel)
      for (;;) {
        const found = await jobStore.runs.get(run, cancel)
        if (found?.value.state === 'refused') throw new Error(`Refused: ${found.value.refusal?.message}`)
        const [job] = await jobStore.jobsOfRun(run, cancel)
        if (job?.state === 'done') return job
        await Promise.race([clock.sleep(10, cancel), engine])
      }
    },
    snapshotNameOf: (point: StoredPoint) => point.body.snapshotName,
    digestsOf: async ({ envelope }: StoredPoint): Promise<ReadonlyMap<number, string>> => {
      const digests = new Map<number, string>()
      for (const disk of envelope.disks) {
        const target = new Uint8Array(disk.capacityBytes)
        const reader = diskReader({ repository, domain: envelope.vmId, disk, cacheBytesMax: 0 })
        await reader.readRange({ offsetBytes: 0, target }, cancel)
        digests.set(disk.key, createHash('sha256').update(target).digest('hex'))
      }
      return digests
    },
    places: async () => {
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

/** Tells of every record of a job that is written. */
function watched(store: JobStore, onJob: (job: Job) => void): JobStore {
  const { jobs } = store
  return {
    ...store,
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
