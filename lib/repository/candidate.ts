// A candidate: a sealed restore point that nobody sees yet. The mover seals it; publishing makes it a point, atomically.

import { concatBytes, hexOf } from '../base/bytes.ts'
import { type Clock, isoTime } from '../base/clock.ts'
import { assert, BackupError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import { parsePointId, type SessionId } from '../model/ids.ts'
import type { PointBody, PointEnvelope } from '../model/point.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { decodePackList, encodePackList, packListMacBytes } from '../wire/repository/pack-list.ts'
import type { PackUse } from '../wire/repository/pack-set.ts'
import type { DiskMap } from '../wire/repository/point.ts'
import { metaMac, sameMac } from './keys.ts'
import { candidateKey, packListKey, pointKey } from './object-keys.ts'
import { writePackSet } from './pack-set.ts'
import { openEnvelope, openPoint, type StoredPoint, sealPoint } from './point-object.ts'
import type { Repository } from './repository.ts'

export type CandidateInput = {
  readonly repository: Repository
  readonly random: Random
  readonly clock: Clock
  readonly sessionId: SessionId
  /** From listing the VM's points: the next sequence, and the newest as its parent. */
  readonly point: Pick<PointEnvelope, 'vmId' | 'sequence' | 'parentSequence' | 'capturedAt' | 'retainUntil'>
  /** Its storedBytes counts every pack of the session; the pack set's own is added here. */
  readonly body: PointBody
  /** All durable: every pack writer was flushed. */
  readonly disks: readonly DiskMap[]
  /** What mergePackUses() gave; the pack set's own packs are added here. */
  readonly packUses: readonly PackUse[]
}

/**
 * Writes pack set, pack list and candidate. A session has one candidate: when there is one already, it is the answer.
 */
export async function sealCandidate(input: CandidateInput, cancel: Cancel): Promise<StoredPoint> {
  const { repository, sessionId, point } = input
  const { kid } = repository.keys
  const earlier = await readCandidate({ repository, sessionId }, cancel)
  if (earlier !== null) return earlier
  const packSet = await writePackSet({ ...input, domain: point.vmId, uses: input.packUses }, cancel)
  const sealed: StoredPoint = {
    envelope: {
      repositoryId: repository.id,
      pointId: parsePointId(hexOf(input.random.bytes(16))),
      vmId: point.vmId,
      sequence: point.sequence,
      parentSequence: point.parentSequence,
      sessionId,
      capturedAt: point.capturedAt,
      sealedAt: isoTime(input.clock.nowMs()),
      retainUntil: point.retainUntil,
      kid,
      disks: input.disks,
      packSet: packSet.parts,
    },
    body: { ...input.body, storedBytes: input.body.storedBytes + packSet.storedBytes },
  }
  const list = encodePackList(sealed.envelope.pointId, packSet.uses)
  const listed = concatBytes([list, metaMac(repository.keys, { kid, bytes: list })])
  await repository.store.putIfAbsent({ key: packListKey(sessionId, sealed.envelope.pointId), bytes: listed }, cancel)
  const bytes = sealPoint(repository.keys, sealed)
  const outcome = await repository.store.putIfAbsent({ key: candidateKey(sessionId), bytes }, cancel)
  if (outcome === 'stored') return sealed
  const winner = await readCandidate({ repository, sessionId }, cancel)
  if (winner === null) throw corrupt(`Cannot seal session "${sessionId}": its candidate exists and is gone`)
  return winner
}

/** @returns null when the session has none */
export async function readCandidate(
  read: { readonly repository: Repository; readonly sessionId: SessionId },
  cancel: Cancel,
): Promise<StoredPoint | null> {
  const bytes = await read.repository.store.get(candidateKey(read.sessionId), cancel)
  return bytes === null ? null : openCandidate(read, bytes)
}

function openCandidate(
  of: { readonly repository: Repository; readonly sessionId: SessionId },
  bytes: Uint8Array,
): StoredPoint {
  const what = `the candidate of session "${of.sessionId}"`
  const point = openPoint(of.repository.keys, bytes, what)
  if (point.envelope.sessionId !== of.sessionId) throw corrupt(`Cannot read ${what}: it is of another session`)
  return point
}

/** Every pack that the candidate reaches, without reading a page. @throws BackupError `integrity` */
export async function readPackList(
  read: { readonly repository: Repository; readonly candidate: PointEnvelope },
  cancel: Cancel,
): Promise<readonly PackUse[]> {
  const { repository, candidate } = read
  const key = packListKey(candidate.sessionId, candidate.pointId)
  const bytes = await repository.store.get(key, cancel)
  const split = Math.max(0, (bytes?.byteLength ?? 0) - packListMacBytes)
  const list = bytes?.subarray(0, split)
  if (bytes === null || list === undefined) throw corrupt(`Cannot read the pack list "${key}": it is gone`)
  if (!sameMac(bytes.subarray(split), metaMac(repository.keys, { kid: candidate.kid, bytes: list }))) {
    throw corrupt(`Cannot trust the pack list "${key}": its MAC does not fit`)
  }
  return decodePackList(candidate.pointId, list)
}

export type Published = 'published' | 'already-ours' | { readonly conflict: PointEnvelope }

/**
 * Makes the session's candidate a restore point, if its place is free: of two at once exactly one is told 'published'.
 * Repeating it is harmless.
 * @throws BackupError `candidate-missing` when the session has none; `integrity`
 */
export async function publishCandidate(
  publish: { readonly repository: Repository; readonly sessionId: SessionId },
  cancel: Cancel,
): Promise<Published> {
  const { repository, sessionId } = publish
  const bytes = await repository.store.get(candidateKey(sessionId), cancel)
  if (bytes === null) throw candidateMissing(sessionId)
  const { envelope } = openCandidate(publish, bytes)
  const key = pointKey(envelope)
  if ((await repository.store.putIfAbsent({ key, bytes }, cancel)) === 'stored') return 'published'
  const there = await repository.store.get(key, cancel)
  assert(there !== null, 'what exists can be read')
  const winner = openEnvelope(repository.keys, there, `the restore point "${key}"`)
  return winner.sessionId === sessionId ? 'already-ours' : { conflict: winner }
}

function candidateMissing(sessionId: SessionId): BackupError {
  return new BackupError(`Cannot publish session "${sessionId}": it has no candidate`, {
    code: 'candidate-missing',
    kind: 'not-found',
    hint: 'The transfer did not finish; the job reads the disks again',
    facts: { sessionId },
  })
}
