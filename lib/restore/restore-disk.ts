// Writes one disk of a restore point to a target: in order, every byte verified before it is written, holes left sparse.

import { budget } from '../base/budget.ts'
import { MiB } from '../base/bytes.ts'
import { assert, BackupError, quote } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { DiskTarget } from '../ports/disk.ts'
import { diskReader } from '../repository/disk-reader.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import type { Repository } from '../repository/repository.ts'

export type RestoreDisk = {
  readonly repository: Repository
  readonly point: Pick<StoredPoint, 'envelope'>
  readonly diskKey: number
  /** As large as the disk; reads as zero where nothing is written. Committed when everything is there. */
  readonly target: DiskTarget
  /** Called as it goes on: bytes of the disk that are done, holes included. */
  readonly onProgress: (doneBytes: number) => void
}

export type RestoredDisk = { readonly capacityBytes: number; readonly writtenBytes: number }

/** Writes under way, in bytes. */
const WRITING_BYTES_MAX = 32 * MiB

/**
 * @throws BackupError `disk-not-found` (kind not-found), `integrity`, or what the target throws; the target is then uncommitted
 */
export async function restoreDisk(restore: RestoreDisk, { signal }: Cancel): Promise<RestoredDisk> {
  const { repository, point, target } = restore
  const disk = point.envelope.disks.find((candidate) => candidate.key === restore.diskKey)
  if (disk === undefined) throw diskNotFound(restore)
  const { capacityBytes } = disk
  assert(target.capacityBytes === capacityBytes, 'the target is as large as the disk')
  const reader = diskReader({ repository, domain: point.envelope.vmId, disk, cacheBytesMax: 0 })
  const stop = new AbortController()
  const inner = { signal: AbortSignal.any([signal, stop.signal]) }
  const room = budget(WRITING_BYTES_MAX)
  const writes = new Set<Promise<void>>()
  let writtenBytes = 0
  try {
    for await (const run of reader.runs({ offsetBytes: 0, lengthBytes: capacityBytes }, inner)) {
      if (run.kind === 'hole') {
        restore.onProgress(run.offsetBytes + run.lengthBytes)
        continue
      }
      const { offsetBytes, bytes } = run
      const permit = await room.take(bytes.byteLength, inner)
      const write = target
        .write({ offsetBytes, bytes }, inner)
        .catch((error: unknown) => stop.abort(error))
        .finally(() => {
          permit[Symbol.dispose]()
          writes.delete(write)
        })
      writes.add(write)
      writtenBytes += bytes.byteLength
      restore.onProgress(offsetBytes + bytes.byteLength)
    }
  } finally {
    await Promise.all(writes)
  }
  inner.signal.throwIfAborted()
  await target.commit({ signal })
  return { capacityBytes, writtenBytes }
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
