// The restore points of a repository with everything they say of themselves. What cannot be believed is listed, never left out.

import { assert, BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { PointId } from '../model/ids.ts'
import { type AnnotationListing, listAnnotations } from '../repository/annotations.ts'
import type { PointRef } from '../repository/object-keys.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import { listPointRefs, readPoint, type UnreadablePoint } from '../repository/points.ts'
import type { Repository } from '../repository/repository.ts'
import { type PointProof, provePoints } from './point-proof.ts'

export type KnownPoints = {
  /** By VM, then ascending by sequence. */
  readonly points: readonly StoredPoint[]
  readonly unreadable: readonly UnreadablePoint[]
  /** What is said about them later. */
  readonly said: AnnotationListing
  /** How well each readable point is proven. */
  readonly proofs: ReadonlyMap<PointId, PointProof>
}

const unreadableCodes: ReadonlySet<string> = new Set(['integrity', 'repository-version', 'repository-key'])

/** Points read side by side. */
const readsMax = 16

/** Opens every point of the repository. @throws what the store throws; a damaged point or annotation is listed as unreadable */
export async function readKnownPoints(repository: Repository, cancel: Cancel): Promise<KnownPoints> {
  const refs = await listPointRefs({ repository }, cancel)
  const found: (StoredPoint | UnreadablePoint)[] = []
  for (let start = 0; start < refs.length; start += readsMax) {
    const some = refs.slice(start, start + readsMax)
    found.push(...(await Promise.all(some.map((ref) => readOrNote({ repository, ref }, cancel)))))
  }
  const points = found.filter((one) => 'envelope' in one)
  const said = await listAnnotations({ repository }, cancel)
  return { points, unreadable: found.filter((one) => 'error' in one), said, proofs: provePoints(points, said) }
}

/** Of a point that is among them. */
export function proofOfPoint({ envelope }: StoredPoint, { proofs }: KnownPoints): PointProof {
  const proof = proofs.get(envelope.pointId)
  assert(proof !== undefined, 'every readable point has a proof')
  return proof
}

async function readOrNote(
  read: { readonly repository: Repository; readonly ref: PointRef },
  cancel: Cancel,
): Promise<StoredPoint | UnreadablePoint> {
  try {
    return await readPoint(read, cancel)
  } catch (error) {
    if (error instanceof BackupError && unreadableCodes.has(error.code)) return { ref: read.ref, error }
    throw error
  }
}
