// provePoints(): what may be believed of a point's bytes, and how far the audit has come round.

import { describe, expect, it } from 'vitest'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { parsePointId } from '../../lib/model/ids.ts'
import type { DiskAudit, PointDisk } from '../../lib/model/point.ts'
import { provePoints } from '../../lib/operate/point-proof.ts'
import type { AnnotationListing } from '../../lib/repository/annotations.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { pointDisk } from '../mover/point-disk.ts'
import { sessionOf, testRepository, vmId, writeCandidate } from '../repository/kit.ts'

const idOf = (sequence: number) => parsePointId(sequence.toString(16).padStart(32, '0'))

async function template(): Promise<StoredPoint> {
  const repository = await testRepository(memoryObjectStore({ clock: manualClock() }))
  const disk = {
    key: 2000,
    capacityBytes: 65_536,
    chunkLog2: 16,
    chunks: new Map([[0, new Uint8Array(65_536).fill(1)]]),
  }
  return writeCandidate({
    repository,
    sessionId: sessionOf('one'),
    sequence: 1,
    parent: null,
    disks: [disk],
    random: seededRandom(1),
  })
}

const one = await template()

/** Points 1, 2, 3 …, each the parent of the next, with these disks. */
function chain(...disks: readonly (readonly PointDisk[])[]): readonly StoredPoint[] {
  return disks.map((own, index) => ({
    envelope: {
      ...one.envelope,
      sequence: index + 1,
      parentSequence: index === 0 ? null : index,
      pointId: idOf(index + 1),
    },
    body: { ...one.body, disks: own },
  }))
}

const audit = (slot: number, slots: number, change: Partial<DiskAudit> = {}): DiskAudit => ({
  slot,
  slots,
  unitBytes: 65_536,
  chunks: 1,
  readBytes: 65_536,
  mismatches: 0,
  ...change,
})
const whole = (change: Partial<PointDisk> = {}) => pointDisk({ readMode: 'full', ...change })
const changed = (own: DiskAudit | null, change: Partial<PointDisk> = {}) =>
  pointDisk({ readMode: 'incremental', audit: own, ...change })

const nothingSaid: AnnotationListing = { annotations: [], unreadable: [] }

function statesOf(points: readonly StoredPoint[], said = nothingSaid) {
  const proofs = provePoints(points, said)
  return points.map(({ envelope }) => {
    const proof = proofs.get(envelope.pointId)
    return [proof?.state, proof?.auditedPercent, proof?.sinceSequence]
  })
}

describe('provePoints()', () => {
  it('calls a point whole whose disks were read whole, also by comparing, or audited whole', () => {
    const points = chain([whole()], [changed(audit(0, 1))], [pointDisk({ readMode: 'differential' })])
    expect(statesOf(points)).toEqual(Array(3).fill(['whole', 100, null]))
  })

  it('counts the turns of the round since the last whole point, and none twice', () => {
    const points = chain(
      [whole()],
      [changed(audit(2, 10))],
      [changed(audit(3, 10))],
      [changed(audit(3, 10))],
      [changed(null)],
    )
    expect(statesOf(points).slice(1)).toEqual([
      ['audited', 10, 1],
      ['audited', 20, 1],
      ['audited', 20, 1],
      ['audited', 20, 1],
    ])
    const [, , third] = points
    expect(third === undefined ? null : provePoints(points, nothingSaid).get(third.envelope.pointId)?.reason).toBe(
      'Read by changed areas; audited 20 % of what changed block tracking called unchanged since point 1',
    )
  })

  it('comes to 100 percent after a round, and begins anew when the share or the disk changed', () => {
    const points = chain(
      [whole()],
      [changed(audit(0, 2))],
      [changed(audit(1, 2))],
      [changed(audit(1, 4))],
      [changed(audit(2, 4, { unitBytes: 131_072 }))],
    )
    expect(statesOf(points).map(([, percent]) => percent)).toEqual([100, 50, 100, 25, 25])
  })

  it('is as far as its disk that is least far, followed by what it is, not by its place', () => {
    const disk = { key: 2001, backingUuid: 'b' }
    const points = chain(
      [whole(), whole(disk)],
      [changed(audit(0, 4)), changed(audit(0, 2), disk)],
      [whole(), changed(audit(1, 2), { ...disk, key: 2009 })],
      [changed(audit(1, 4)), changed(audit(0, 2), { ...disk, key: 2009 })],
    )
    expect(statesOf(points)).toEqual([
      ['whole', 100, null],
      ['audited', 25, 1],
      ['audited', 100, 1],
      ['audited', 25, 1],
    ])
  })

  it('does not say since when, where the beginning is not there any more', () => {
    expect(statesOf(chain([whole()], [changed(audit(0, 4))]).slice(1))).toEqual([['audited', 25, null]])
  })

  it('calls a point unproven by what is said of it, and not by what is said of another at its place', () => {
    const points = chain([whole()], [changed(audit(0, 4))])
    const said = { kind: 'unproven', reason: 'Changes are missing', diskKeys: [2000], foundBy: sessionOf('x') } as const
    const annotation = { vmId, sequence: 2, pointId: idOf(2), number: 1, writtenAt: '', kind: 'unproven', said }
    expect(statesOf(points, { annotations: [annotation], unreadable: [] })[1]?.[0]).toBe('unproven')
    const other = { ...annotation, pointId: idOf(9) }
    const ofNewerKind = { ...annotation, kind: 'hold', said: null }
    expect(statesOf(points, { annotations: [other, ofNewerKind], unreadable: [] })[1]?.[0]).toBe('audited')
  })

  it('does not know when what is said cannot be read', () => {
    const points = chain([whole()], [whole()])
    const error = new BackupError('Cannot trust it', { code: 'integrity', kind: 'integrity' })
    const unreadable = [{ ref: { vmId, sequence: 2, number: 1 }, error }]
    expect(statesOf(points, { annotations: [], unreadable }).map(([state]) => state)).toEqual(['whole', 'unknown'])
  })
})
