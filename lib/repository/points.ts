// Restore points as they lie in the repository: listed and read from the store alone.

import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { VmId } from '../model/ids.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import type { StoredEnvelope } from '../wire/repository/point.ts'
import { type PointRef, parsePointKey, pointKey, pointsPrefix, pointsPrefixOf } from './object-keys.ts'
import { openEnvelope, openPoint, type StoredPoint } from './point-object.ts'
import type { Repository } from './repository.ts'

export type UnreadablePoint = { readonly ref: PointRef; readonly error: BackupError }

export type PointListing = {
  /** By VM, then ascending by sequence. */
  readonly points: readonly StoredEnvelope[]
  /** Points that are there and cannot be believed; never left out in silence. */
  readonly unreadable: readonly UnreadablePoint[]
}

const unreadableCodes = ['integrity', 'repository-version', 'repository-key']

/** All points, or those of one VM. @throws what the store throws; a damaged point is listed as unreadable */
export async function listPoints(
  list: { readonly repository: Repository; readonly vmId?: VmId },
  cancel: Cancel,
): Promise<PointListing> {
  const { repository, vmId } = list
  const points: StoredEnvelope[] = []
  const unreadable: UnreadablePoint[] = []
  for (const ref of await listPointRefs(list, cancel)) {
    try {
      points.push(openEnvelopeAt(repository, ref, await getPoint(repository, ref, cancel)))
    } catch (error) {
      if (!(error instanceof BackupError) || !unreadableCodes.includes(error.code)) throw error
      unreadable.push({ ref, error })
    }
  }
  return vmId === undefined
    ? { points, unreadable }
    : { points: points.filter((point) => point.vmId === vmId), unreadable }
}

/** Places of points by their names alone: no object is read. By VM, then ascending by sequence. */
export async function listPointRefs(
  list: { readonly repository: Repository; readonly vmId?: VmId },
  cancel: Cancel,
): Promise<readonly PointRef[]> {
  const prefix = list.vmId === undefined ? pointsPrefix : pointsPrefixOf(list.vmId)
  const refs: PointRef[] = []
  for await (const { key } of list.repository.store.list(prefix, cancel)) {
    const ref = parsePointKey(key)
    if (ref !== null) refs.push(ref)
  }
  return refs
}

/** @throws BackupError `point-missing`, `integrity`, `repository-version`, `repository-key` */
export async function readPoint(
  read: { readonly repository: Repository; readonly ref: PointRef },
  cancel: Cancel,
): Promise<StoredPoint> {
  const { repository, ref } = read
  const bytes = await getPoint(repository, ref, cancel)
  openEnvelopeAt(repository, ref, bytes)
  return openPoint(repository.keys, bytes, nameOf(ref))
}

async function getPoint(repository: Repository, ref: PointRef, cancel: Cancel): Promise<Uint8Array> {
  const bytes = await repository.store.get(pointKey(ref), cancel)
  if (bytes !== null) return bytes
  throw new BackupError(`Cannot read ${nameOf(ref)}: there is none`, { code: 'point-missing', kind: 'not-found' })
}

/** A point counts only at its own place: a copy under another name is not believed. */
function openEnvelopeAt(repository: Repository, ref: PointRef, bytes: Uint8Array): StoredEnvelope {
  const envelope = openEnvelope(repository.keys, bytes, nameOf(ref))
  if (envelope.vmId === ref.vmId && envelope.sequence === ref.sequence) return envelope
  throw corrupt(`Cannot trust ${nameOf(ref)}: it was sealed as point "${envelope.sequence}" of VM "${envelope.vmId}"`)
}

function nameOf(ref: PointRef): string {
  return `restore point "${ref.sequence}" of VM "${ref.vmId}"`
}
