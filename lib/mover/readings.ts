// What of each disk is read, by which transport: the decision, the question for changed areas, and what becomes of it.

import { assert, BackupError, messageOf } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { collectChangedAreas } from '../model/changed-areas.ts'
import { alignExtents, type Extent, totalBytes, withoutExtents } from '../model/extent.ts'
import type { Capture, Job } from '../model/job.ts'
import { matchDisks } from '../model/match-disks.ts'
import type { PointDisk, WholeCause } from '../model/point.ts'
import type { VmDisk } from '../model/vm.ts'
import type { DiskAccess } from '../ports/disk.ts'
import type { Log } from '../ports/log.ts'
import type { DiskRequest, Transport } from '../ports/transport.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import type { MapOptions } from '../repository/disk-map-reader.ts'
import { chunkBytesOf } from '../repository/map-shape.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import { allowedTransports } from './allowed-transports.ts'
import { type AuditTurn, auditExtents, auditTurn } from './audit-share.ts'
import { chooseTransport } from './choose-transport.ts'
import { afterFailedQuery, decideReading, type Reading, type Whole } from './decide.ts'

export type DiskMap = MapOptions['disk']

export type DiskReading = {
  readonly disk: VmDisk
  readonly request: DiskRequest
  readonly transport: Transport['name']
  readonly access: DiskAccess
  readonly chunkLog2: number
  readonly reading: Reading
  /** The map that chunks are compared with and that is kept where nothing is read. */
  readonly parent: DiskMap | null
  /** Whole chunks, ascending, disjoint. */
  readonly extents: readonly Extent[]
  /** What is read beside them and compared with the parent; null where nothing is. */
  readonly audit: { readonly turn: AuditTurn; readonly extents: readonly Extent[]; readonly totalBytes: number } | null
  /** Of the extents and the audit. */
  readonly totalBytes: number
}

export type ReadingDeps = {
  readonly session: VsphereSession
  readonly transports: readonly Transport[]
  readonly log: Log
}

export type ReadingContext = {
  readonly job: Job
  readonly capture: Capture
  /** The point whose disks are continued; null when there is none. */
  readonly parent: StoredPoint | null
  /** Why there is none although the VM has points. */
  readonly orphanReason: string | null
  /** Of disks without a past. */
  readonly chunkLog2: number
  /** The new point's number. */
  readonly sequence: number
}

/** More replies of QueryChangedDiskAreas than any disk needs: 62 TB in 64 KiB blocks, 2,000 a reply, all changed apart. */
const QUERY_ROUNDS_MAX = 1_000_000

/** Decides for every disk. @throws AggregateError of every disk that cannot be read */
export async function planReadings(
  context: ReadingContext,
  deps: ReadingDeps,
  cancel: Cancel,
): Promise<readonly DiskReading[]> {
  const excluded = new Set(context.capture.excludedDisks.map((disk) => disk.key))
  const readings: DiskReading[] = []
  const failures: unknown[] = []
  const disks = context.capture.disks.filter((candidate) => !excluded.has(candidate.key))
  const before = matchDisks(disks, context.parent?.body.disks ?? [])
  for (const disk of disks) {
    try {
      const continued = { disk, before: before.get(disk.key) ?? null }
      readings.push(await planReading(context, continued, { deps, cancel }))
    } catch (error) {
      cancel.signal.throwIfAborted()
      failures.push(error)
    }
  }
  if (failures.length > 0)
    throw new AggregateError(failures, `Cannot read ${failures.length} disks of "${context.job.vm.name}"`)
  return readings
}

type Call = { readonly deps: ReadingDeps; readonly cancel: Cancel }

async function planReading(
  context: ReadingContext,
  { disk, before }: { readonly disk: VmDisk; readonly before: PointDisk | null },
  { deps, cancel }: Call,
): Promise<DiskReading> {
  const { job, capture, chunkLog2 } = context
  const { moref, datacenter } = job.vm
  const request: DiskRequest = { vm: moref, snapshot: capture.snapshot, datacenter, disk }
  const { transports, log } = deps
  const choice = { order: job.policy.transport, transports: allowedTransports(job, transports), log }
  const { name: transport, access } = await chooseTransport(request, choice, cancel)
  const decided = decideReading({
    disk,
    chunkLog2,
    wholeReason: access === 'random' ? null : `Transport "${transport}" gives a disk only as a whole`,
    tracking: job.tracking,
    orphanReason: context.orphanReason,
    vcenterId: deps.session.about.instanceUuid,
    parent: context.parent === null ? null : parentOf(context.parent, before),
  })
  const { reading, changed } = await changedOf({ request, reading: decided }, { deps, cancel })
  const parent = reading.kind === 'full' ? null : mapOf(context.parent, reading.parent)
  const limits = { blockBytes: chunkBytesOf({ chunkLog2 }), capacityBytes: disk.capacityBytes }
  const extents = alignExtents(changed, limits)
  const audit = reading.kind === 'incremental' ? auditOf({ disk, chunkLog2, extents }, context) : null
  const bytes = totalBytes(extents) + (audit?.totalBytes ?? 0)
  const source = { request, transport, access }
  const plan = { disk, ...source, chunkLog2, reading, parent, extents, audit, totalBytes: bytes }
  deps.log.info('disk.reading', {
    disk: disk.label,
    transport,
    mode: reading.kind,
    reason: reasonOf(reading),
    totalBytes: plan.totalBytes,
    auditBytes: audit?.totalBytes ?? 0,
  })
  return plan
}

/** The turn's share of the disk, without what is read as changed. */
function auditOf(
  { disk, chunkLog2, extents }: Pick<DiskReading, 'disk' | 'chunkLog2' | 'extents'>,
  { job, sequence }: ReadingContext,
): DiskReading['audit'] {
  const shape = { capacityBytes: disk.capacityBytes, chunkLog2 }
  const turn = auditTurn(shape, { percent: job.policy.changeTracking.auditPercent, sequence })
  if (turn === null) return null
  const share = withoutExtents(auditExtents(shape, turn), extents)
  return { turn, extents: share, totalBytes: totalBytes(share) }
}

/** The same disk read whole and compared with its parent after all. */
export function wholeOf(plan: DiskReading, why: Whole): DiskReading {
  const { reading, disk } = plan
  assert(reading.kind === 'incremental', 'a disk that is read whole already is not read whole instead')
  const extents = [{ offsetBytes: 0, lengthBytes: disk.capacityBytes }]
  const whole: Reading = { kind: 'differential', parent: reading.parent, why }
  return { ...plan, reading: whole, extents, audit: null, totalBytes: totalBytes(extents) }
}

function parentOf({ envelope, body }: StoredPoint, disk: PointDisk | null) {
  return { sequence: envelope.sequence, vcenterId: body.vcenterId, disk }
}

export function reasonOf(reading: Reading): string | null {
  return reading.kind === 'incremental' ? null : (reading.why?.reason ?? null)
}

export function causeOf(reading: Reading): WholeCause | null {
  return reading.kind === 'incremental' ? null : (reading.why?.cause ?? null)
}

/** What was decided by the parent's body holds for its map only when both speak of the same disk. */
function mapOf(parent: StoredPoint | null, before: PointDisk): DiskMap {
  const map = parent?.envelope.disks.find((disk) => disk.key === before.key)
  if (map?.capacityBytes === before.capacityBytes && map.chunkLog2 === before.chunkLog2) return map
  throw new BackupError(
    `Cannot continue restore point ${parent?.envelope.sequence}: its map of disk "${before.label}" does not fit its record of it`,
    { code: 'integrity', kind: 'integrity', facts: { diskKey: before.key } },
  )
}

type Decided = { readonly request: DiskRequest; readonly reading: Reading }

async function changedOf(
  { request, reading }: Decided,
  { deps, cancel }: Call,
): Promise<{ readonly reading: Reading; readonly changed: readonly Extent[] }> {
  const { disk, vm, snapshot } = request
  const { capacityBytes } = disk
  const whole = capacityBytes === 0 ? [] : [{ offsetBytes: 0, lengthBytes: capacityBytes }]
  if (reading.kind !== 'incremental') return { reading, changed: whole }
  const { changeId, grownFromBytes } = reading
  try {
    const areas = await collectChangedAreas(
      (startOffset) => deps.session.changedAreas({ vm, snapshot, deviceKey: disk.key, startOffset, changeId }, cancel),
      { capacityBytes, roundsMax: QUERY_ROUNDS_MAX },
    )
    const tail =
      grownFromBytes === null ? [] : [{ offsetBytes: grownFromBytes, lengthBytes: capacityBytes - grownFromBytes }]
    return { reading, changed: [...areas, ...tail] }
  } catch (error) {
    if (!(error instanceof BackupError) || error.retry !== 'as-full') throw error
    const fault = typeof error.facts['fault'] === 'string' ? error.facts['fault'] : null
    return { reading: afterFailedQuery(reading, { message: messageOf(error), fault }), changed: whole }
  }
}
