// The whole pipeline of one machine against a simulated fleet: the engine with its state in SQLite, the movers as functions of
// this process (a Node for each of hundreds of small VMs would measure Node), the simulator as a process of its own.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryMeter } from '../../lib/adapters/memory/meter.ts'
import { type MemoryTasks, memoryMovers } from '../../lib/adapters/memory/tasks.ts'
import { openVsphere } from '../../lib/adapters/vsphere/vsphere.ts'
import { KiB, MiB } from '../../lib/base/bytes.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { runEngine } from '../../lib/compose/engine.ts'
import { createLocalRepository, openLocalEngine, openLocalState } from '../../lib/compose/local.ts'
import { openTransports } from '../../lib/compose/transports.ts'
import { vsphereSettingsOf } from '../../lib/compose/vsphere-settings.ts'
import { requestRun } from '../../lib/doors/request-run.ts'
import { defaultAdmissionLimits } from '../../lib/model/admission.ts'
import type { Job } from '../../lib/model/job.ts'
import { defaultPolicy, type Policy } from '../../lib/model/policy.ts'
import type { MoverDeps } from '../../lib/mover/deps.ts'
import { inProcessWorkers } from '../../lib/mover/in-process.ts'
import { moveJob } from '../../lib/mover/move.ts'
import { isOver, viewRun } from '../../lib/operate/follow-run.ts'
import { parseSettings } from '../../lib/wire/settings.ts'
import type { Peaks } from '../../sim/machine/peaks.ts'
import { estateJson, openSim, type Sim } from '../../test/flow/kit.ts'
import { type Counted, type Counts, counted, newCounts } from './counts.ts'
import { FLEET_FAULTS, fleetOf } from './estate.ts'

export type FleetOptions = {
  readonly vms: number
  readonly seed: number
  readonly rounds: number
  readonly calm: boolean
  /** Messages handled side by side, and movers. */
  readonly handledMax: number
  readonly moversMax: number
  readonly say: (text: string) => void
}

export type FleetResult = {
  readonly jobs: readonly Job[]
  readonly counts: Counts
  readonly soapCalls: Readonly<Record<string, number>>
  readonly snapshotsLeft: readonly string[]
  readonly unconsolidated: readonly string[]
  readonly livesMs: readonly number[]
  readonly wallMs: number
  readonly cpuMs: number
  /** What the simulator saw in use at once; its GET /limits. */
  readonly peaks: ReturnType<Peaks['report']>
}

export async function runFleet(options: FleetOptions): Promise<FleetResult> {
  const { vms, seed, say } = options
  await using folder = await temporaryFolder()
  const estate = fleetOf({ vms, seed })
  const estateFile = join(folder.path, 'estate.json')
  const scenario = join(folder.path, 'scenario.json')
  const { datacenters, datastores } = estate
  const listed = datacenters.map((one) => ({ ...one, folders: one.folders.map((path) => path.join('/')) }))
  await writeFile(estateFile, JSON.stringify({ ...JSON.parse(estateJson(estate)), datacenters: listed, datastores }))
  await writeFile(scenario, JSON.stringify({ seed, faults: options.calm ? [] : FLEET_FAULTS }))
  await using sim = await openSim('--estate', estateFile, '--scenario', scenario, '--snapshot-ms', '100')
  say(
    `${vms} VMs on ${new Set(estate.machines.map(({ place }) => place.host)).size} hosts and ${datastores.length} datastores`,
  )
  return await backUpFleet(options, { folder: folder.path, sim })
}

type Place = { readonly folder: string; readonly sim: Sim }

async function backUpFleet(options: FleetOptions, { folder, sim }: Place): Promise<FleetResult> {
  const environment = {
    ...sim.variables,
    COLDFRAME_HOME: join(folder, 'home'),
    COLDFRAME_REPOSITORY: `file:${join(folder, 'repository')}`,
    COLDFRAME_PASSPHRASE: 'a passphrase for the bench only',
  }
  const stop = new AbortController()
  const cancel = { signal: stop.signal }
  const around = { environment, clock: systemClock, random: systemRandom }
  const settings = parseSettings({ environment, file: null, folder }, ['vcenter', 'repository'])
  const repository = await createLocalRepository(settings, around, cancel)
  using local = await openLocalState(settings.home, around, cancel)
  await using engine = await openLocalEngine({ settings, around, local, repository }, cancel)
  if (engine === null || settings.vcenter === null) throw new Error('The engine of a new home opens')

  const counts = newCounts()
  const { parts } = engine
  const stage = counted(parts.deps, counts, 'stage')
  const vsphere = openVsphere(await vsphereSettingsOf(settings.vcenter, around, cancel))
  const mover = counted({ ...parts.deps, jobStore: local.jobStore, vsphere }, counts, 'mover')
  const transports = await openTransports([{ kind: 'datastore', vcenter: settings.vcenter }], around, cancel)
  const tasks = moversOf({ ...mover, repository, transports })
  const limits = { ...parts.deps.limits, moversMax: options.moversMax }
  const deps = { ...parts.deps, ...stage, tasks, limits }
  const running = runEngine({ ...parts, deps, queue: parts.queue, runningMax: options.handledMax }, cancel)
  const [startedMs, startedCpu] = [performance.now(), process.cpuUsage()]
  try {
    for (let round = 1; round <= options.rounds; round++) {
      if (round > 1) await sim.write(64 * KiB)
      const key = `round-${round}`
      const asked = { door: 'api', policy: fleetPolicy(), vms: null, full: false, key } as const
      const runId = await requestRun(
        asked,
        { clock: systemClock, jobStore: local.jobStore, sender: local.queue },
        cancel,
      )
      await Promise.race([untilOver(runId, { local, say: options.say }), running])
    }
    const { user, system } = process.cpuUsage(startedCpu)
    const wallMs = performance.now() - startedMs
    const jobs = await local.jobStore.recentJobs({ limit: 100_000 }, cancel)
    return {
      ...(await seen(sim)),
      jobs,
      counts,
      livesMs: await livesOf(jobs, local),
      wallMs,
      cpuMs: (user + system) / 1000,
    }
  } finally {
    stop.abort(new DOMException('The bench is over', 'AbortError'))
    await running
    await tasks.settled()
  }
}

type MoverParts = Counted & Pick<MoverDeps, 'repository' | 'transports'>

function moversOf({ jobStore, vsphere, log, repository, transports }: MoverParts): MemoryTasks {
  return memoryMovers(async ({ jobId, attempt, clientToken }, within) => {
    const deps: MoverDeps = {
      jobs: jobStore,
      ...{ vsphere, repository, transports, log, clock: systemClock, random: systemRandom },
      meter: memoryMeter({ functionGb: 0 }),
      openWorker: inProcessWorkers({ transports, store: repository.store, random: systemRandom }),
      settings: {
        chunkLog2: repository.settings.chunkLog2,
        workersMax: 1,
        limits: { readAheadBytes: MiB, pieceBytes: 512 * KiB, uploadsMax: 2, readsMax: 4, packBytesTarget: 4 * MiB },
        latency: { ...defaultAdmissionLimits, everyMs: 20_000 },
        taskSize: null,
        writer: 'bench',
      },
    }
    await moveJob({ jobId, attempt, holder: `mover-${clientToken}` }, deps, within)
  })
}

function fleetPolicy(): Policy {
  return { ...defaultPolicy(), select: { any: [{ name: '*' }], all: [], none: [] } }
}

type Local = Awaited<ReturnType<typeof openLocalState>>

async function untilOver(
  runId: Parameters<typeof viewRun>[0]['runId'],
  { local, say }: { readonly local: Local; readonly say: (text: string) => void },
): Promise<void> {
  const never = { signal: new AbortController().signal }
  for (let look = 1; ; look++) {
    const view = await viewRun({ runId, jobStore: local.jobStore }, never)
    if (isOver(view)) return
    if (look % 20 === 0)
      say(`${view.jobs.filter(({ job }) => job.state === 'done').length} of ${view.jobs.length} jobs done`)
    await systemClock.sleep(500, never)
  }
}

async function seen(sim: Sim): Promise<Pick<FleetResult, 'soapCalls' | 'snapshotsLeft' | 'unconsolidated' | 'peaks'>> {
  const machines = await sim.machines()
  return {
    soapCalls: await sim.calls(),
    snapshotsLeft: machines.flatMap(({ name, snapshots }) => snapshots.map((one) => `${name}: ${one.name}`)),
    unconsolidated: machines.filter(({ consolidationNeeded }) => consolidationNeeded).map(({ name }) => name),
    peaks: await sim.peaks(),
  }
}

/** How long each snapshot of a backup stood, as the product remembers it. */
async function livesOf(jobs: readonly Job[], { jobStore }: Local): Promise<readonly number[]> {
  const never = { signal: new AbortController().signal }
  const lives: number[] = []
  for (const vmId of new Set(jobs.map(({ vm }) => vm.vmId))) {
    const found = await jobStore.vms.get(vmId, never)
    for (const { aliveMs } of found?.value.snapshots ?? []) if (aliveMs !== null) lives.push(aliveMs)
  }
  return lives
}

async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'coldframe-fleet-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
}
