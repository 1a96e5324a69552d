// What the in-memory vCenter answers when it is asked which areas of a disk changed.

import { BackupError } from '../../base/errors.ts'
import { type Extent, mergeExtents } from '../../model/extent.ts'
import type { Moref } from '../../model/ids.ts'
import type { ChangedAreas } from '../../ports/vsphere.ts'
import { BLOCK_BYTES, type FrozenDisk, type MemoryVm } from './machine.ts'

/** Of one reply, as vSphere has it. */
const AREAS_MAX = 2_000

/** Blocks written since the epoch of `changeId` and before the snapshot's own. */
export function changedSince(
  frozen: FrozenDisk,
  query: { readonly startOffset: number; readonly changeId: string },
): ChangedAreas {
  const [chain, since] = query.changeId.split('/')
  const capacityBytes = frozen.bytes.byteLength
  if (frozen.changeId?.split('/')[0] !== chain || since === undefined || query.startOffset >= capacityBytes) {
    throw new BackupError(`Cannot list changed areas since "${query.changeId}"`, {
      code: 'cbt-unavailable',
      retry: 'as-full',
    })
  }
  const blocks = [...frozen.changedAt]
    .filter(([, epoch]) => epoch >= Number(since))
    .map(([block]) => block * BLOCK_BYTES)
  const extents = mergeExtents(
    blocks.map((offsetBytes) => ({ offsetBytes, lengthBytes: Math.min(BLOCK_BYTES, capacityBytes - offsetBytes) })),
  ).flatMap((extent) => cutBefore(extent, query.startOffset))
  const end = extents[AREAS_MAX]?.offsetBytes ?? capacityBytes
  return { startOffset: query.startOffset, length: end - query.startOffset, areas: extents.slice(0, AREAS_MAX) }
}

/** What was written since a snapshot, by whole blocks; null when there is none. */
export function growthSince(vm: MemoryVm, moref: Moref): number | null {
  const snapshot = vm.snapshots.find((each) => each.moref === moref)
  if (snapshot === undefined) return null
  const written = vm.disks.flatMap(({ changedAt }) => [...changedAt.values()].filter((at) => at >= snapshot.epoch))
  return written.length * BLOCK_BYTES
}

function cutBefore(extent: Extent, startOffset: number): readonly Extent[] {
  const cut = Math.max(0, startOffset - extent.offsetBytes)
  if (cut >= extent.lengthBytes) return []
  return [{ offsetBytes: extent.offsetBytes + cut, lengthBytes: extent.lengthBytes - cut }]
}
