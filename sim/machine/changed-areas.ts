// QueryChangedDiskAreas of one disk as a snapshot keeps it, or of a powered-off machine's own.

import { epochOf, type FrozenTracking, pageOfAreas } from './change-tracking.ts'
import { fileFault, invalidArgument } from './devices.ts'
import type { Disk, Layer } from './disk.ts'
import type { ChangedAreas } from './types.ts'

export type QueriedDisk = { readonly disk: Disk; readonly layer: Layer; readonly tracking: FrozenTracking | null }

/** @throws SimFault InvalidArgument, FileFault */
export function changedAreasOf(
  { disk, layer, tracking }: QueriedDisk,
  query: {
    readonly startOffset: number
    readonly changeId: string
    readonly allocation: 'vmfs' | 'whole'
    readonly windowBytes: number
  },
): ChangedAreas {
  const { startOffset, windowBytes } = query
  if (!(startOffset >= 0 && startOffset < disk.capacityBytes)) {
    throw invalidArgument(
      'startOffset',
      `The start offset ${startOffset} is outside the disk of ${disk.capacityBytes} bytes`,
    )
  }
  const page = { startOffset, capacityBytes: disk.capacityBytes, windowBytes }
  const path = disk.pathsOf(disk.present(layer)).descriptorPath
  if (tracking === null) throw fileFault(path, 'Change tracking is not active on this disk')
  if (query.changeId === '*') {
    const wanted = query.allocation === 'vmfs' ? disk.allocated(layer) : () => true
    return pageOfAreas({ ...page, wanted })
  }
  const since = epochOf(query.changeId, tracking)
  if (since === null) throw fileFault(path, `The change id "${query.changeId}" is not known here`)
  return pageOfAreas({ ...page, wanted: (block) => (tracking.epochs[block] ?? 0) > since })
}

/** A disk of a snapshot. @throws SimFault InvalidArgument */
export function keptBy(kept: readonly QueriedDisk[], deviceKey: number): QueriedDisk {
  const found = kept.find(({ disk }) => disk.deviceKey === deviceKey)
  if (found === undefined) throw noDisk(deviceKey)
  return found
}

/** A disk of a machine that is off. @throws SimFault InvalidArgument, FileFault */
export function liveDisk(
  disks: readonly Disk[],
  { deviceKey, running }: { readonly deviceKey: number; readonly running: boolean },
): QueriedDisk {
  const disk = disks.find((one) => one.deviceKey === deviceKey)
  if (disk === undefined || !disk.covered) throw noDisk(deviceKey)
  if (running) throw fileFault(disk.pathsOf(disk.active).descriptorPath, 'The disk is written by a running machine')
  return { disk, layer: disk.active, tracking: disk.tracking }
}

function noDisk(deviceKey: number) {
  return invalidArgument('deviceKey', `The device ${deviceKey} is not a disk that a snapshot covers`)
}
