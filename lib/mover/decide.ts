// How a disk is read: whole, by changed areas, or whole and compared with its parent. Pure: values in, a decision out.

import { quote } from '../base/errors.ts'
import { changeIdBreak } from '../model/change-id.ts'
import type { Notice } from '../model/outcome.ts'
import type { PointDisk } from '../model/point.ts'
import type { VmDisk } from '../model/vm.ts'

export type ReadingFacts = {
  /** The disk as the snapshot froze it. */
  readonly disk: VmDisk
  /** What this disk would be cut into if it had no past. */
  readonly chunkLog2: number
  /** Why nothing but the whole disk can be read, whatever is tracked; null when ranges can. */
  readonly wholeReason: string | null
  readonly tracking: { readonly active: boolean; readonly reason: string | null }
  /** AboutInfo.instanceUuid of the vCenter that is read from; null where the server has none (a lone host). */
  readonly vcenterId: string | null
  /** The VM's newest restore point, from the repository's listing; null before the first. */
  readonly parent: {
    readonly sequence: number
    readonly vcenterId: string | null
    readonly disks: readonly PointDisk[]
  } | null
  /** Why there is no parent although the VM has points; null for a VM without any. */
  readonly orphanReason: string | null
}

/**
 * `reason` says why the whole disk is read and is stored with the point; null for an incremental and an ordinary first
 * full. `notice` is for the operator: something is not as it should be.
 */
export type Reading =
  | { readonly kind: 'full'; readonly reason: string | null; readonly notice: Notice | null }
  | {
      readonly kind: 'incremental'
      readonly parent: PointDisk
      readonly changeId: string
      /** Bytes from here to the end are new and read whole; null when the disk did not grow. */
      readonly grownFromBytes: number | null
    }
  | {
      readonly kind: 'differential'
      readonly parent: PointDisk
      readonly reason: string
      readonly notice: Notice | null
    }

/** A disk with another past than the point's is still compared with it: equal bytes at equal places are equal bytes. */
export function decideReading(facts: ReadingFacts): Reading {
  const { disk, parent, chunkLog2, wholeReason } = facts
  const untracked = wholeReason === null ? untrackedReason(facts) : null
  const before = parent?.disks.find((candidate) => candidate.key === disk.key) ?? null
  if (parent === null || before === null) {
    const reason = parent === null ? (facts.orphanReason ?? untracked) : untracked
    return { kind: 'full', reason, notice: untracked === null ? null : trackingNotice(disk, untracked) }
  }
  if (before.chunkLog2 !== chunkLog2) {
    const reason = `Restore point ${parent.sequence} cuts this disk into chunks of ${2 ** before.chunkLog2} bytes, now ${2 ** chunkLog2}`
    return { kind: 'full', reason, notice: untracked === null ? null : trackingNotice(disk, untracked) }
  }
  if (wholeReason !== null) return { kind: 'differential', parent: before, reason: wholeReason, notice: null }
  if (untracked !== null) {
    return { kind: 'differential', parent: before, reason: untracked, notice: trackingNotice(disk, untracked) }
  }
  return decideByParent(facts, { ...parent, disk: before })
}

/** The same disk when CBT was to be used and its query failed. */
export function afterFailedQuery(reading: Extract<Reading, { kind: 'incremental' }>, failure: QueryFailure): Reading {
  const reason = `Changed areas could not be read: ${failure.message}`
  return { kind: 'differential', parent: reading.parent, reason, notice: trackingNotice(failure.disk, reason) }
}

export type QueryFailure = { readonly disk: VmDisk; readonly message: string }

type ParentDisk = { readonly sequence: number; readonly vcenterId: string | null; readonly disk: PointDisk }

function decideByParent(facts: ReadingFacts, parent: ParentDisk): Reading {
  const { disk, vcenterId } = facts
  const before = parent.disk
  const whole = (reason: string, notice: Notice | null = null): Reading => ({
    kind: 'differential',
    parent: before,
    reason,
    notice,
  })
  // A replica in a second vCenter keeps every uuid of VM, disk and change tracking, and counts changes of its own.
  if (vcenterId === null || parent.vcenterId !== vcenterId) {
    const [now, then] = [serverName(vcenterId), serverName(parent.vcenterId)]
    return whole(`Change ids of restore point ${parent.sequence} are of ${then}, the snapshot is of ${now}`)
  }
  if (before.backingUuid === null || disk.uuid === null) return whole('The disk has no backing uuid to be known by')
  if (before.backingUuid !== disk.uuid) {
    return whole(
      `The disk was replaced: its backing uuid is ${quote(disk.uuid)}, in restore point ${parent.sequence} ${quote(before.backingUuid)}`,
    )
  }
  if (disk.capacityBytes < before.capacityBytes) {
    return whole(`The disk shrank from ${before.capacityBytes} to ${disk.capacityBytes} bytes`)
  }
  if (before.changeId === null) return whole(`Restore point ${parent.sequence} has no change id for this disk`)
  const broken = changeIdBreak(before.changeId, disk.changeId ?? '')
  if (broken !== null) {
    const reason = `${BREAKS[broken]}: restore point ${parent.sequence} has ${quote(before.changeId)}, the snapshot ${quote(disk.changeId)}`
    return whole(reason, {
      code: 'cbt-reset',
      message: `Disk "${disk.label}" was read whole: ${lowerFirst(reason)}`,
      hint: 'Nothing is lost: unchanged chunks were recognised by their hash, and the next run can use changed areas again',
    })
  }
  const grownFromBytes = disk.capacityBytes > before.capacityBytes ? before.capacityBytes : null
  return { kind: 'incremental', parent: before, changeId: before.changeId, grownFromBytes }
}

function serverName(vcenterId: string | null): string {
  return vcenterId === null ? 'a server without an id' : `vCenter ${quote(vcenterId)}`
}

const BREAKS = {
  'change-id-unreadable': 'A change id has an unknown form',
  'change-id-other-chain': 'Changed block tracking was reset',
  'change-id-went-back': 'The change counter went back',
} as const

function untrackedReason({ disk, tracking }: ReadingFacts): string | null {
  if (!tracking.active) return tracking.reason ?? 'Changed block tracking is not active on this VM'
  if (disk.changeId === null) return 'The snapshot has no change id for this disk'
  return null
}

function trackingNotice(disk: VmDisk, reason: string): Notice {
  return {
    code: 'cbt-unavailable',
    message: `Disk "${disk.label}" was read whole: ${lowerFirst(reason)}`,
    hint: 'Every backup reads this disk whole until changed block tracking works on it',
  }
}

/** Lowers a sentence's first letter, but not an acronym's. */
function lowerFirst(text: string): string {
  return /^[A-Z][a-z ]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text
}
