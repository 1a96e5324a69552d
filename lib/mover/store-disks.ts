// From a captured snapshot to a sealed candidate: lineage, readings, workers, maps, seal.

import { MiB } from '../base/bytes.ts'
import { BackupError, quote } from '../base/errors.ts'
import { anySignal, type Cancel } from '../base/time-limit.ts'
import { BYTES_PER_WORKER, cutByGrant, type MoverCut } from '../model/admission.ts'
import { totalBytes } from '../model/extent.ts'
import type { SessionId } from '../model/ids.ts'
import type { Capture, DiskProgress, Job } from '../model/job.ts'
import type { Notice } from '../model/outcome.ts'
import type { PointBody } from '../model/point.ts'
import type { Usage } from '../model/usage.ts'
import { leafSpanBytesOf } from '../repository/map-shape.ts'
import { packTally } from '../repository/pack-use.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import { dataOf } from '../repository/repository.ts'
import { startSession } from '../repository/session.ts'
import { sessionTableMemory } from '../repository/session-table.ts'
import { type Audited, auditDisks } from './audit-disks.ts'
import type { MoverDeps } from './deps.ts'
import { diskCounts } from './disk-counts.ts'
import { leafStream } from './leaf-stream.ts'
import { paceMemory } from './pace.ts'
import { type Anew, findLineage, type Lineage, startAnew } from './parent-point.ts'
import { progressMeter } from './progress.ts'
import { type DiskReading, planReadings } from './readings.ts'
import type { RegionWorker, WorkerPlan } from './region-worker.ts'
import { cutRegions, type Region, regionBytesOf } from './regions.ts'
import { mapPacks, sealMove, writeMaps } from './seal.ts'
import { storeRegions } from './store-regions.ts'
import { trackingNotice } from './tracking-notice.ts'
import { watchLatency } from './watch-latency.ts'

export type StoreJob = {
  readonly job: Job
  readonly capture: Capture
  readonly sessionId: SessionId
  /** Why no earlier point is continued and everything is stored anew; null: the newest is continued. */
  readonly anew: Anew | null
  readonly report: (progress: readonly DiskProgress[]) => void
  /** What was used so far. */
  readonly usage: () => Usage
}

/** Shared memory for the table of this session's chunks, at most. */
const TABLE_BYTES_MAX = 64 * MiB
/** Leaves of one region when little of each is read. */
const LEAVES_MAX = 64

export async function storeDisks(store: StoreJob, deps: MoverDeps, cancel: Cancel): Promise<StoredPoint> {
  const { job, capture, sessionId } = store
  const { repository, clock, random } = deps
  const found = await findLineage(repository, job.vm.vmId, cancel)
  const lineage = store.anew === null ? found : startAnew(found, store.anew)
  await start(lineage, { sessionId, deps }, cancel)
  const { readings: planned, vcenterId } = await readingsOf(store, { lineage, deps }, cancel)
  const counts = diskCounts(planned)
  const meter = progressMeter(planned.map(progressOf), store.report)
  const cut = cutOf(store, planned, deps)
  const opening = { deps, workers: cut.workers, report: meter.add }
  const plan = planOf(store, planned, { deps, cut })
  await using _watching = paceOf(store, plan, { deps, cancel })
  await using workers = await openWorkers(plan, opening, cancel)
  await using packs = mapPacks(repository, { random, signal: cancel.signal })

  const auditing = { workers: workers.list, parentSequence: lineage.parent?.envelope.sequence ?? 0, log: deps.log }
  const audited = await auditDisks(planned, auditing, cancel)
  const { readings } = audited
  for (const before of planned) meter.grow(before.disk.key, moreBytes(before, audited))
  const parts = { repository, domain: job.vm.vmId, packs, tally: packTally() }
  const flows = flowsOf(readings, workers.list.length)
  const maps = await sideBySide(
    (stop) => storeRegions(flows, { workers: workers.list, onDone: counts.add }, stop),
    (stop) => writeMaps(parts, flows, stop),
    { cancel, onFailure: (error) => flows.forEach((flow) => flow.leaves.fail(error)) },
  )
  const done = await Promise.all(workers.list.map((worker) => worker.finish(cancel)))
  for (const worker of done) deps.meter.add(worker.usage)
  const disks = counts.pointDisks(audited)
  const body = bodyOf({ store, lineage, readings, vcenterId, disks, writer: deps.settings.writer })
  const { takenAt: capturedAt } = capture
  const seal = { ...parts, ...lineage, sessionId, capturedAt, readings, maps, done, body, clock, random }
  return await sealMove(seal, cancel)
}

/** What a disk takes more than was planned, once the audit found that it must be read whole; what it left out counts less. */
function moreBytes({ disk, extents, audit, chunkLog2 }: DiskReading, { readings, audits }: Audited): number {
  const after = readings.find((reading) => reading.disk.key === disk.key)
  if (audit === null || after?.audit !== null) return 0
  const auditedBytes = Math.min(audit.totalBytes, (audits.get(disk.key)?.chunks ?? 0) * 2 ** chunkLog2)
  return after.totalBytes - totalBytes(extents) - (audit.totalBytes - auditedBytes)
}

/** The sweep keeps what the session's start names alive; one that was restarted may refer to nothing else. */
async function start(
  { parent }: Lineage,
  { sessionId, deps }: { readonly sessionId: SessionId; readonly deps: MoverDeps },
  cancel: Cancel,
): Promise<void> {
  const { repository, clock } = deps
  const parents = parent === null ? [] : [parent.envelope]
  const started = await startSession({ repository, sessionId, parents, clock }, cancel)
  if (parent === null || started.parents.some(({ sequence }) => sequence === parent.envelope.sequence)) return
  const { sequence } = parent.envelope
  throw new BackupError(
    `Cannot go on with session ${quote(sessionId)}: restore point ${sequence} was written since it began`,
    {
      code: 'parent-changed',
      retry: 'later',
      hint: 'The next attempt continues the newer restore point',
      facts: { sessionId, sequence },
    },
  )
}

async function readingsOf(
  store: StoreJob,
  { lineage, deps }: { readonly lineage: Lineage; readonly deps: MoverDeps },
  cancel: Cancel,
): Promise<{ readonly readings: readonly DiskReading[]; readonly vcenterId: string | null }> {
  await using session = await deps.vsphere.open(cancel)

  const context = { ...store, ...lineage, chunkLog2: deps.settings.chunkLog2 }
  const { transports, log } = deps
  const readings = await planReadings(context, { session, transports, log }, cancel)
  return { readings, vcenterId: session.about.instanceUuid }
}

function paceOf(
  { job, capture }: StoreJob,
  { pace }: WorkerPlan,
  { deps, cancel }: { readonly deps: MoverDeps; readonly cancel: Cancel },
): AsyncDisposable | null {
  const { latency: watch } = deps.settings
  return watch === null ? null : watchLatency({ job, capture, watch, pace }, deps, cancel)
}

/** Workers and reads side by side, at most what the job was granted; a job of before admission was granted nothing. */
function cutOf({ job }: StoreJob, readings: readonly DiskReading[], { settings }: MoverDeps): MoverCut {
  const workers = Math.max(1, Math.min(settings.workersMax, workersOf(readings)))
  const { readsMax } = settings.limits
  if (job.grant === null) return { workers, readsPerWorker: readsMax }
  const perRead = readings.some(({ transport }) => transport === 'datastore')
  const cut = cutByGrant(job.grant, { workers, perRead })
  return { workers: cut.workers, readsPerWorker: Math.min(readsMax, cut.readsPerWorker) }
}

function planOf(
  { job }: StoreJob,
  readings: readonly DiskReading[],
  { deps, cut }: { readonly deps: MoverDeps; readonly cut: MoverCut },
): WorkerPlan {
  const chunksOf = ({ extents, chunkLog2 }: DiskReading) => Math.ceil(totalBytes(extents) / 2 ** chunkLog2)
  const chunks = readings.reduce((sum, reading) => sum + chunksOf(reading), 0)
  return {
    repository: dataOf(deps.repository),
    domain: job.vm.vmId,
    disks: readings.map(({ request, transport, access, chunkLog2, parent }) => ({
      request,
      transport,
      access,
      chunkLog2,
      parent,
    })),
    totalBytes: readings.reduce((sum, reading) => sum + reading.totalBytes, 0),
    table: sessionTableMemory({ chunks, bytesMax: TABLE_BYTES_MAX }),
    pace: paceMemory(),
    compressionLevel: job.policy.compressionLevel,
    limits: { ...deps.settings.limits, readsMax: cut.readsPerWorker },
  }
}

type Workers = AsyncDisposable & { readonly list: readonly RegionWorker[] }

async function openWorkers(
  plan: WorkerPlan,
  options: {
    readonly deps: MoverDeps
    readonly workers: number
    readonly report: (diskKey: number, doneBytes: number) => void
  },
  cancel: Cancel,
): Promise<Workers> {
  const { openWorker } = options.deps
  await using opened = new AsyncDisposableStack()
  // Disks that come as streams are the first worker's alone: see storeRegions().
  const others = { ...plan, disks: plan.disks.filter(({ access }) => access === 'random') }
  const planAt = (index: number) => (index === 0 ? plan : others)
  const opening = Array.from({ length: options.workers }, (_, index) =>
    openWorker(planAt(index), options.report, cancel),
  )
  const settled = await Promise.allSettled(opening)
  const list = settled.flatMap((one) => (one.status === 'fulfilled' ? [opened.use(one.value)] : []))
  for (const one of settled) if (one.status === 'rejected') throw one.reason
  const kept = opened.move()
  return { list, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() }
}

/**
 * How many have something to do: one reads all streams, the others share what can be read anywhere. VDDK attaches a disk to the
 * mover's VM once: two readers would be two attachments, so one worker reads all when a disk comes by `hotadd`.
 */
function workersOf(readings: readonly DiskReading[]): number {
  if (readings.some(({ transport }) => transport === 'hotadd')) return 1
  const bytesOf = (access: DiskReading['access']) =>
    readings.reduce((sum, reading) => sum + (reading.access === access ? reading.totalBytes : 0), 0)
  return Math.min(1, bytesOf('sequential')) + Math.ceil(bytesOf('random') / BYTES_PER_WORKER)
}

function flowsOf(readings: readonly DiskReading[], workers: number) {
  const allBytes = readings.reduce((sum, { extents }) => sum + totalBytes(extents), 0)
  return readings.map((reading) => {
    const leafBytes = leafSpanBytesOf(reading)
    const regions = (): Generator<Region> =>
      cutRegions(reading.extents, {
        diskKey: reading.disk.key,
        whole: reading.reading.kind !== 'incremental',
        capacityBytes: reading.disk.capacityBytes,
        chunkBytes: 2 ** reading.chunkLog2,
        leafBytes,
        readBytesMax: regionBytesOf(allBytes, { workers, leafBytes }),
        leavesMax: LEAVES_MAX,
      })
    return { diskKey: reading.disk.key, access: reading.access, reading, regions: regions(), leaves: leafStream() }
  })
}

/** Both to their end; when one fails the other is stopped and has settled before the first failure is thrown. */
async function sideBySide<Result>(
  store: (cancel: Cancel) => Promise<void>,
  map: (cancel: Cancel) => Promise<Result>,
  { cancel, onFailure }: { readonly cancel: Cancel; readonly onFailure: (error: unknown) => void },
): Promise<Result> {
  const stop = new AbortController()
  const signal = anySignal([cancel.signal, stop.signal])
  const failed = (error: unknown): never => {
    if (!stop.signal.aborted) stop.abort(error)
    onFailure(error)
    throw stop.signal.reason
  }
  const [stored, mapped] = await Promise.allSettled([store({ signal }).catch(failed), map({ signal }).catch(failed)])
  if (stored.status === 'rejected') throw stored.reason
  if (mapped.status === 'rejected') throw mapped.reason
  return mapped.value
}

function progressOf({ disk, transport, totalBytes }: DiskReading): Omit<DiskProgress, 'doneBytes'> {
  return { key: disk.key, label: disk.label, totalBytes, transport }
}

function bodyOf(facts: {
  readonly store: StoreJob
  readonly lineage: Lineage
  readonly readings: readonly DiskReading[]
  readonly vcenterId: string | null
  readonly disks: PointBody['disks']
  readonly writer: string
}): Omit<PointBody, 'storedBytes'> {
  const { job, capture } = facts.store
  const tracking = trackingNotice(facts.readings)
  const own: readonly Notice[] = tracking === null ? [] : [tracking]
  return {
    vmName: job.vm.name,
    vcenterId: facts.vcenterId,
    snapshotName: capture.snapshotName,
    policyName: job.policy.name,
    writer: facts.writer,
    grade: capture.grade,
    config: capture.config,
    disks: facts.disks,
    excludedDisks: capture.excludedDisks,
    notices: [...job.notices, ...facts.lineage.notices, ...own],
    usage: facts.store.usage(),
  }
}
