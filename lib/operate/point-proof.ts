// How well a point's bytes are proven: read whole, by changed areas with an audit that contradicts nothing, or contradicted later. Pure.

import type { Annotation } from '../model/annotation.ts'
import type { PointId } from '../model/ids.ts'
import { matchDisks } from '../model/match-disks.ts'
import type { PointDisk } from '../model/point.ts'
import type { AnnotationListing, UnreadableAnnotation } from '../repository/annotations.ts'
import type { StoredPoint } from '../repository/point-object.ts'

export type PointProof = {
  /**
   * 'whole': every disk was read, or audited, whole. 'audited': some came by changed areas, and no audit says otherwise.
   * 'unproven': an audit found later that changes may be missing. 'unknown': what is said about the point cannot be read.
   */
  readonly state: 'whole' | 'audited' | 'unproven' | 'unknown'
  /** How far the audit has come round what changed block tracking called unchanged: of the disk that is least far. */
  readonly auditedPercent: number
  /** The last point at which all disks were read whole; null when it is not there any more. */
  readonly sinceSequence: number | null
  /** One sentence without a full stop. */
  readonly reason: string
}

/** Whether nothing speaks against the point. */
export function isProven({ state }: PointProof): boolean {
  return state === 'whole' || state === 'audited'
}

/** How far one disk has come at one point. */
type Rotation = { readonly since: number | null; readonly turns: string | null; readonly seen: ReadonlySet<number> }

/** @param points of one VM or of several, each VM's ascending by sequence */
export function provePoints(points: readonly StoredPoint[], said: AnnotationListing): ReadonlyMap<PointId, PointProof> {
  const proofs = new Map<PointId, PointProof>()
  const known = new Map<string, { readonly point: StoredPoint; readonly rotations: ReadonlyMap<number, Rotation> }>()
  for (const point of points) {
    const { vmId, sequence, parentSequence, pointId } = point.envelope
    const parent = known.get(`${vmId}/${parentSequence}`)
    const rotations = new Map(
      point.body.disks.map((disk) => [disk.key, rotationOf(disk, { sequence, parent })] as const),
    )
    known.set(`${vmId}/${sequence}`, { point, rotations })
    const own = said.annotations.filter((one) => one.pointId === pointId)
    const unread = said.unreadable.filter(({ ref }) => ref.vmId === vmId && ref.sequence === sequence)
    proofs.set(pointId, proofOf(point, { rotations, own, unread }))
  }
  return proofs
}

function rotationOf(
  disk: PointDisk,
  at: {
    readonly sequence: number
    readonly parent: { readonly point: StoredPoint; readonly rotations: ReadonlyMap<number, Rotation> } | undefined
  },
): Rotation {
  if (isReadWhole(disk)) return { since: at.sequence, turns: null, seen: new Set() }
  const { audit } = disk
  const before = matchDisks([{ key: disk.key, uuid: disk.backingUuid }], at.parent?.point.body.disks ?? [])
  const earlier = at.parent?.rotations.get(before.get(disk.key)?.key ?? Number.NaN)
  const since = earlier?.since ?? null
  if (audit === null) return { since, turns: earlier?.turns ?? null, seen: earlier?.seen ?? new Set() }
  // Another share, or another cut of the disk: what was seen before counts for nothing in the new round.
  const turns = `${audit.slots}/${audit.unitBytes}`
  const seen = earlier?.turns === turns ? earlier.seen : []
  return { since, turns, seen: new Set([...seen, audit.slot]) }
}

function isReadWhole({ readMode, audit }: PointDisk): boolean {
  return readMode !== 'incremental' || (audit !== null && audit.slots === 1 && audit.mismatches === 0)
}

function percentOf({ turns, seen }: Rotation): number {
  return turns === null ? 0 : Math.floor((100 * seen.size) / Number(turns.split('/')[0]))
}

function proofOf(
  { body }: StoredPoint,
  facts: {
    readonly rotations: ReadonlyMap<number, Rotation>
    readonly own: readonly Annotation[]
    readonly unread: readonly UnreadableAnnotation[]
  },
): PointProof {
  const tracked = body.disks.filter((disk) => !isReadWhole(disk)).flatMap(({ key }) => facts.rotations.get(key) ?? [])
  const auditedPercent = tracked.length === 0 ? 100 : Math.min(...tracked.map(percentOf))
  const oldest = tracked.map(({ since }) => since)
  const sinceSequence = oldest.some((since) => since === null) ? null : Math.min(...oldest.flatMap((one) => one ?? []))
  const how = { auditedPercent, sinceSequence: tracked.length === 0 ? null : sinceSequence }
  const doubts = facts.own.flatMap(({ said }) => (said?.kind === 'unproven' ? [said.reason] : []))
  if (doubts.length > 0) return { ...how, state: 'unproven', reason: [...new Set(doubts)].join('; ') }
  const unread = facts.unread[0]
  if (unread !== undefined) return { ...how, state: 'unknown', reason: unread.error.message }
  if (tracked.length === 0) return { ...how, state: 'whole', reason: 'Every disk was read whole' }
  return { ...how, state: 'audited', reason: auditedWords(how) }
}

/** For example "audited 46 % of what changed block tracking called unchanged since point 12". */
export function auditedWords({ auditedPercent, sinceSequence }: Omit<PointProof, 'state' | 'reason'>): string {
  const since = sinceSequence === null ? '' : ` since point ${sinceSequence}`
  return `Read by changed areas; audited ${auditedPercent} % of what changed block tracking called unchanged${since}`
}

/** Of a point that is not proven. */
export function doubtWords({ state, reason }: PointProof): string {
  return state === 'unknown'
    ? `may be unproven, what is said about it cannot be read: ${reason}`
    : `UNPROVEN: ${reason}`
}
