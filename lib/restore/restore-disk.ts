// Writes one disk of a restore point to a target: every byte verified before it is written, holes left sparse.

import { MiB } from '../base/bytes.ts'
import { forEachBounded } from '../base/concurrency.ts'
import { assert, BackupError, quote } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { cutExtents } from '../model/extent.ts'
import type { DiskTarget } from '../ports/disk.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import { dataOf, type Repository } from '../repository/repository.ts'
import { openRangeReader, type RangePlan, type RangeReader } from './range-reader.ts'

export type RestoreDisk = {
  readonly repository: Repository
  readonly point: Pick<StoredPoint, 'envelope'>
  readonly diskKey: number
  /** As large as the disk; reads as zero where nothing is written. Committed when everything is there. */
  readonly target: DiskTarget
  /** Called as it goes on, with the bytes of the disk that are done, holes included. */
  readonly onProgress: (doneBytes: number) => void
  readonly readers?: RangeReaders
}

/** Where ranges are read: threads, for speed. Left out: in this thread. */
export type RangeReaders = {
  readonly count: number
  readonly open: (plan: RangePlan, cancel: Cancel) => Promise<RangeReader>
}

export type RestoredDisk = { readonly capacityBytes: number; readonly writtenBytes: number }

/** One range's bytes; a reader has two under way, so that one is fetched while the other is opened. */
const RANGE_BYTES = 8 * MiB
const RANGES_PER_READER = 2
/** One reader more is opened for so much of the disk. */
const BYTES_PER_READER = 64 * MiB

/**
 * @throws BackupError `disk-not-found` (kind not-found), `integrity`, or what the target throws; the target is then uncommitted
 */
export async function restoreDisk(restore: RestoreDisk, cancel: Cancel): Promise<RestoredDisk> {
  const { repository, point, target } = restore
  const disk = point.envelope.disks.find((candidate) => candidate.key === restore.diskKey)
  if (disk === undefined) throw diskNotFound(restore)
  const { capacityBytes } = disk
  assert(target.capacityBytes === capacityBytes, 'the target is as large as the disk')
  const plan: RangePlan = { repository: dataOf(repository), domain: point.envelope.vmId, disk }
  await using readers = await openReaders(restore, plan, cancel)

  const ranges = cutExtents(capacityBytes === 0 ? [] : [{ offsetBytes: 0, lengthBytes: capacityBytes }], RANGE_BYTES)
  let writtenBytes = 0
  let doneBytes = 0
  const places = readers.list.flatMap((reader) => new Array<RangeReader>(RANGES_PER_READER).fill(reader))
  const free = [...places]
  await forEachBounded(
    ranges,
    async (range, inner) => {
      const reader = free.pop()
      assert(reader !== undefined, 'a reader is free')
      for (const run of await reader.read(range, inner)) {
        await target.write(run, inner)
        writtenBytes += run.bytes.byteLength
      }
      await target.passed?.(range, inner)
      free.push(reader)
      doneBytes += range.lengthBytes
      restore.onProgress(doneBytes)
    },
    { runningMax: places.length, signal: cancel.signal },
  )
  await target.commit(cancel)
  return { capacityBytes, writtenBytes }
}

type Readers = AsyncDisposable & { readonly list: readonly RangeReader[] }

async function openReaders({ readers, repository }: RestoreDisk, plan: RangePlan, cancel: Cancel): Promise<Readers> {
  const { count: countMax, open } = readers ?? { count: 1, open: async () => openRangeReader(plan, repository.store) }
  const count = Math.max(1, Math.min(countMax, Math.ceil(plan.disk.capacityBytes / BYTES_PER_READER)))
  await using opened = new AsyncDisposableStack()
  const settled = await Promise.allSettled(Array.from({ length: count }, () => open(plan, cancel)))
  const list = settled.flatMap((one) => (one.status === 'fulfilled' ? [opened.use(one.value)] : []))
  for (const one of settled) if (one.status === 'rejected') throw one.reason
  const kept = opened.move()
  return { list, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() }
}

function diskNotFound({ point, diskKey }: RestoreDisk): BackupError {
  const { disks, pointId } = point.envelope
  return new BackupError(
    `Cannot restore disk ${quote(String(diskKey))}: restore point ${quote(pointId)} has no such disk`,
    {
      code: 'disk-not-found',
      kind: 'not-found',
      hint: `It has the disks ${disks.map((disk) => disk.key).join(', ')}`,
      facts: { diskKey, point: pointId },
    },
  )
}
