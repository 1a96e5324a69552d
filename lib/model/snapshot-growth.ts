// How a snapshot weighs while its disks are read, and when that is enough: the read ends, not the VM. Pure.

import { formatBytes, formatDuration } from '../base/text.ts'
import type { Outcome } from './outcome.ts'
import type { Policy } from './policy.ts'

export type SnapshotGrowth = {
  /** What the layers above the snapshot hold, all disks together; null where vCenter does not say. */
  readonly growthBytes: number | null
  /** The datastores that these layers are on. */
  readonly datastores: readonly { readonly name: string; readonly capacityBytes: number; readonly freeBytes: number }[]
}

export type SnapshotLook = {
  readonly vmName: string
  readonly snapshotName: string
  readonly ageMs: number
  /** Null where it could not be asked: that is no reason to end anything. */
  readonly growth: SnapshotGrowth | null
}

/** Below this a datastore is about to fill: so many bytes, or for a small one this share of it. */
const FREE_BYTES_MIN = 4 * 2 ** 30
const FREE_SHARE_MIN = 0.02

/** @returns how the job ends whose snapshot stands like this; null while it may go on */
export function whyReadEnds(
  { vmName, snapshotName, ageMs, growth }: SnapshotLook,
  caps: Policy['snapshot'],
): Outcome | null {
  const { ageMsMax, growthBytesMax } = caps
  const what = `The read of VM "${vmName}" was ended, and its snapshot "${snapshotName}" is removed`
  if (ageMs > ageMsMax) {
    const message = `${what}: it stood for ${formatDuration(ageMs)}, and the policy allows ${formatDuration(ageMsMax)}`
    return ended('snapshot-too-old', message, 'Make the read faster, or let the policy allow more (snapshot.ageMax)')
  }
  const grownBytes = growth?.growthBytes ?? null
  if (grownBytes !== null && growthBytesMax !== null && grownBytes > growthBytesMax) {
    const message = `${what}: it grew to ${formatBytes(grownBytes)}, and the policy allows ${formatBytes(growthBytesMax)}`
    const hint = 'Back it up when less is written, or let the policy allow more (snapshot.growthMax)'
    return ended('snapshot-too-large', message, hint)
  }
  const full = (growth?.datastores ?? []).find(isFilling)
  if (full === undefined) return null
  const message = `${what}: datastore "${full.name}" has ${formatBytes(full.freeBytes)} of ${formatBytes(full.capacityBytes)} left`
  return ended('datastore-filling', message, 'Free some space on the datastore, then start the backup again')
}

function isFilling({ capacityBytes, freeBytes }: SnapshotGrowth['datastores'][number]): boolean {
  return capacityBytes > 0 && freeBytes < Math.min(FREE_BYTES_MIN, capacityBytes * FREE_SHARE_MIN)
}

function ended(code: string, message: string, hint: string): Outcome {
  return { kind: 'failed', code, message, hint }
}
