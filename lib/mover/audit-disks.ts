// The audit of changed block tracking, before anything is stored: what it calls unchanged is read again in part and compared with
// the parent. A disk that differs is then read whole: nothing that rests on the lie is sealed.

import { quote } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { DiskAudit } from '../model/point.ts'
import type { Log } from '../ports/log.ts'
import { chunkBytesOf, leafSpanBytesOf } from '../repository/map-shape.ts'
import type { AuditDone } from './audit-region.ts'
import { byWorkers } from './by-workers.ts'
import { type DiskReading, wholeOf } from './readings.ts'
import type { RegionWorker } from './region-worker.ts'
import { cutRegions, type Region, regionBytesOf } from './regions.ts'

export type Audited = {
  /** Those of disks that differ are now whole ones. */
  readonly readings: readonly DiskReading[]
  /** By device key; of disks that had a turn. */
  readonly audits: ReadonlyMap<number, DiskAudit>
}

export type AuditOptions = {
  readonly workers: readonly RegionWorker[]
  /** The number of the point that is compared with. */
  readonly parentSequence: number
  readonly log: Log
}

const LEAVES_MAX = 64

export async function auditDisks(
  readings: readonly DiskReading[],
  options: AuditOptions,
  cancel: Cancel,
): Promise<Audited> {
  const { workers, parentSequence, log } = options
  const found = new Map<number, AuditDone>()
  const tasks = tasksOf(readings, { workers: workers.length, found })
  const act = async ({ region }: { readonly region: Region }, worker: RegionWorker, inner: Cancel) => {
    const done = await worker.audit(region, inner)
    found.set(region.diskKey, sumOf(found.get(region.diskKey), done))
  }
  await byWorkers({ workers, listsOf: () => [tasks], act }, cancel)
  const audits = new Map<number, DiskAudit>()
  for (const { disk, audit } of readings) if (audit !== null) audits.set(disk.key, recordOf(audit, found.get(disk.key)))
  return {
    audits,
    readings: readings.map((reading) => {
      const done = found.get(reading.disk.key)
      if (done === undefined || done.mismatches === 0) return reading
      const reason = reasonOf(done, { reading, parentSequence })
      log.warn('audit.mismatch', { disk: reading.disk.label, reason, changeId: reading.disk.changeId })
      return wholeOf(reading, { cause: 'audit-mismatch', reason })
    }),
  }
}

/** A disk that was found to differ is not looked at any further. */
function* tasksOf(
  readings: readonly DiskReading[],
  { workers, found }: { readonly workers: number; readonly found: ReadonlyMap<number, AuditDone> },
): Generator<{ readonly region: Region }, void> {
  const totalBytes = readings.reduce((sum, { audit }) => sum + (audit?.totalBytes ?? 0), 0)
  for (const { audit, disk, chunkLog2 } of readings) {
    if (audit === null) continue
    const leafBytes = leafSpanBytesOf({ chunkLog2 })
    const regions = cutRegions(audit.extents, {
      diskKey: disk.key,
      whole: false,
      capacityBytes: disk.capacityBytes,
      chunkBytes: chunkBytesOf({ chunkLog2 }),
      leafBytes,
      readBytesMax: regionBytesOf(totalBytes, { workers, leafBytes }),
      leavesMax: LEAVES_MAX,
    })
    for (const region of regions) {
      if ((found.get(disk.key)?.mismatches ?? 0) > 0) break
      yield { region }
    }
  }
}

function sumOf(before: AuditDone | undefined, done: AuditDone): AuditDone {
  if (before === undefined) return done
  const offsets = [before.firstOffsetBytes, done.firstOffsetBytes].filter((offset) => offset !== null)
  return {
    diskKey: done.diskKey,
    chunks: before.chunks + done.chunks,
    readBytes: before.readBytes + done.readBytes,
    mismatches: before.mismatches + done.mismatches,
    firstOffsetBytes: offsets.length === 0 ? null : Math.min(...offsets),
  }
}

function recordOf({ turn }: NonNullable<DiskReading['audit']>, done: AuditDone | undefined): DiskAudit {
  const { slot, slots, unitBytes } = turn
  const { chunks = 0, readBytes = 0, mismatches = 0 } = done ?? {}
  return { slot, slots, unitBytes, chunks, readBytes, mismatches }
}

function reasonOf(
  { mismatches, chunks, firstOffsetBytes }: AuditDone,
  { reading, parentSequence }: { readonly reading: DiskReading; readonly parentSequence: number },
): string {
  const since = reading.reading.kind === 'incremental' ? ` since ${quote(reading.reading.changeId)}` : ''
  const of = `${mismatches} of ${chunks} chunks that were audited differ from restore point ${parentSequence}`
  return `Changed block tracking left out changes${since}: ${of}, the first at byte ${firstOffsetBytes}`
}
