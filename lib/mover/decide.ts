// How a disk is read: whole, by changed areas, or whole and compared with its parent. Pure: values in, a decision out.

import { quote } from '../base/errors.ts'
import { changeIdBreak, parseChangeId } from '../model/change-id.ts'
import type { PointDisk, WholeCause } from '../model/point.ts'
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
    /** The disk that this one continues; null for a new one. */
    readonly disk: PointDisk | null
  } | null
  /** Why there is no parent although the VM has points; null for a VM without any. */
  readonly orphanReason: string | null
}

/** Why a whole disk is read; stored with the point. */
export type Whole = { readonly cause: WholeCause; readonly reason: string }

/** `why` is null for the VM's first full alone. */
export type Reading =
  | { readonly kind: 'full'; readonly why: Whole | null }
  | {
      readonly kind: 'incremental'
      readonly parent: PointDisk
      readonly changeId: string
      /** Bytes from here to the end are new and read whole; null when the disk did not grow. */
      readonly grownFromBytes: number | null
    }
  | { readonly kind: 'differential'; readonly parent: PointDisk; readonly why: Whole }

/** A disk with another past than the point's is still compared with it: equal bytes at equal places are equal bytes. */
export function decideReading(facts: ReadingFacts): Reading {
  const { parent, chunkLog2 } = facts
  const whole = whyWhole(facts)
  if (parent === null) {
    const orphan: Whole | null =
      facts.orphanReason === null ? null : { cause: 'nothing-to-continue', reason: facts.orphanReason }
    return { kind: 'full', why: orphan ?? (whole?.cause === 'transport' ? null : whole) }
  }
  const before = parent.disk
  if (before === null) {
    const added: Whole = { cause: 'disk-added', reason: `Restore point ${parent.sequence} does not have this disk` }
    return { kind: 'full', why: whole === null || EXPECTED_OF_NEW.includes(whole.cause) ? added : whole }
  }
  if (before.chunkLog2 !== chunkLog2) {
    const reason = `Restore point ${parent.sequence} cuts this disk into chunks of ${2 ** before.chunkLog2} bytes, now ${2 ** chunkLog2}`
    return { kind: 'full', why: { cause: 'chunk-size', reason } }
  }
  const replaced = whole?.cause === 'no-change-id' ? whyReplaced(facts.disk, { ...parent, disk: before }) : null
  if (whole !== null) return { kind: 'differential', parent: before, why: replaced ?? whole }
  return decideByParent(facts, { ...parent, disk: before })
}

/** Tracking of a new disk begins with the stun of its first snapshot, which has no change id for it yet. */
const EXPECTED_OF_NEW: readonly WholeCause[] = ['transport', 'no-change-id']

export type QueryFailure = {
  readonly message: string
  /** vSphere's name of the fault, where there was one. */
  readonly fault: string | null
}

/** The same disk when CBT was to be used and its query failed. */
export function afterFailedQuery(
  reading: Extract<Reading, { kind: 'incremental' }>,
  { message, fault }: QueryFailure,
): Reading {
  const cause = fault === 'NotSupported' || fault === 'MethodNotFound' ? 'query-unsupported' : 'query-failed'
  const why: Whole = { cause, reason: `Changed areas could not be read: ${message}` }
  return { kind: 'differential', parent: reading.parent, why }
}

type ParentDisk = { readonly sequence: number; readonly vcenterId: string | null; readonly disk: PointDisk }

function decideByParent(facts: ReadingFacts, parent: ParentDisk): Reading {
  const why = whyNotContinued(facts, parent)
  const { disk: before } = parent
  if (why !== null || before.changeId === null) {
    const none = { cause: 'no-earlier-change-id', reason: 'There is no earlier change id' } as const
    return { kind: 'differential', parent: before, why: why ?? none }
  }
  const { capacityBytes } = facts.disk
  const grownFromBytes = capacityBytes > before.capacityBytes ? before.capacityBytes : null
  return { kind: 'incremental', parent: before, changeId: before.changeId, grownFromBytes }
}

function whyNotContinued({ disk, vcenterId }: ReadingFacts, parent: ParentDisk): Whole | null {
  const { disk: before, sequence } = parent
  // A replica in a second vCenter keeps every uuid of VM, disk and change tracking, and counts changes of its own.
  if (vcenterId === null || parent.vcenterId !== vcenterId) {
    const [now, then] = [serverName(vcenterId), serverName(parent.vcenterId)]
    return {
      cause: 'other-server',
      reason: `Change ids of restore point ${sequence} are of ${then}, the snapshot is of ${now}`,
    }
  }
  if (before.backingUuid === null || disk.uuid === null)
    return { cause: 'no-identity', reason: 'The disk has no backing uuid to be known by' }
  const replaced = whyReplaced(disk, parent)
  if (replaced !== null) return replaced
  if (disk.capacityBytes < before.capacityBytes) {
    const reason = `The disk shrank from ${before.capacityBytes} to ${disk.capacityBytes} bytes`
    return { cause: 'disk-shrank', reason }
  }
  if (before.changeId === null)
    return { cause: 'no-earlier-change-id', reason: `Restore point ${sequence} has no change id for this disk` }
  const cause = changeIdBreak(before.changeId, disk.changeId ?? '')
  if (cause !== null) {
    const reason = `${BREAKS[cause]}: restore point ${sequence} has ${quote(before.changeId)}, the snapshot ${quote(disk.changeId)}`
    return { cause, reason }
  }
  return whyDistrusted(disk, { ...parent, changeId: before.changeId })
}

function whyReplaced(disk: VmDisk, { disk: before, sequence }: ParentDisk): Whole | null {
  if (before.backingUuid === null || disk.uuid === null || before.backingUuid === disk.uuid) return null
  const reason = `The disk was replaced: its backing uuid is ${quote(disk.uuid)}, in restore point ${sequence} ${quote(before.backingUuid)}`
  return { cause: 'disk-replaced', reason }
}

/** Tracking that was caught leaving something out is not asked again before it has begun anew, whoever forgot the finding. */
function whyDistrusted(disk: VmDisk, parent: ParentDisk & { readonly changeId: string }): Whole | null {
  const { readModeCode } = parent.disk
  if (readModeCode !== 'audit-mismatch' && readModeCode !== 'tracking-distrusted') return null
  if (parseChangeId(parent.changeId)?.uuid !== parseChangeId(disk.changeId ?? '')?.uuid) return null
  const reason = 'Changed block tracking left out changes of this disk and was not reset since'
  return { cause: 'tracking-distrusted', reason }
}

function serverName(vcenterId: string | null): string {
  return vcenterId === null ? 'a server without an id' : `vCenter ${quote(vcenterId)}`
}

const BREAKS = {
  'change-id-unreadable': 'A change id has an unknown form',
  'change-id-other-chain': 'Changed block tracking was reset',
  'change-id-went-back': 'The change counter went back',
} as const

function whyWhole({ disk, tracking, wholeReason }: ReadingFacts): Whole | null {
  // What can only be read whole is no worse off without tracking.
  if (wholeReason !== null) return { cause: 'transport', reason: wholeReason }
  if (!tracking.active) {
    return { cause: 'tracking-off', reason: tracking.reason ?? 'Changed block tracking is not active on this VM' }
  }
  if (disk.changeId === null) return { cause: 'no-change-id', reason: 'The snapshot has no change id for this disk' }
  return null
}
