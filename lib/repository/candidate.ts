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
import { candidateKey, packListKey, pointKey, startKey } from './object-keys.ts'
import { writePackSet } from './pack-set.ts'
import { openEnvelope, openPoint, type StoredPoint, sealPoint } from './point-object.ts'
import type { Repository } from './repository.ts'
import { readSessionStart } from './session.ts'
import { checkMayWrite } from './settings-documents.ts'

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

export type Published =
  | 'published'
  | 'already-ours'
  /** Another session's point has the place. */
  | { readonly kind: 'conflict'; readonly winner: PointEnvelope }
  /** The session is too old, or its start is gone: what it refers to may be swept at any moment. */
  | { readonly kind: 'expired'; readonly startedAt: string | null; readonly sessionMsMax: number }

export type Publish = { readonly repository: Repository; readonly sessionId: SessionId; readonly clock: Clock }

/**
 * Makes the session's candidate a restore point, if its place is free: of two at once exactly one is told 'published'.
 * Repeating it is harmless.
 * @throws BackupError `candidate-missing` when the session has none; `repository-version` when a writer must know what this
 * one does not; `integrity`
 */
export async function publishCandidate(publish: Publish, cancel: Cancel): Promise<Published> {
  const { repository, sessionId } = publish
  const { store } = repository
  const bytes = await store.get(candidateKey(sessionId), cancel)
  if (bytes === null) throw candidateMissing(sessionId)
  const { envelope } = openCandidate(publish, bytes)
  const key = pointKey(envelope)
  const expired = await findExpiry(publish, cancel)
  if (expired === null) {
    await checkMayWrite(repository, cancel)
    if ((await store.putIfAbsent({ key, bytes }, cancel)) === 'stored') return 'published'
  }
  const there = await store.get(key, cancel)
  if (there === null && expired !== null) return expired
  assert(there !== null, 'what exists can be read')
  const winner = openEnvelope(repository.keys, there, `the restore point "${key}"`)
  return winner.sessionId === sessionId ? 'already-ours' : { kind: 'conflict', winner }
}

/** By the store's own times, for the mover's clock may have been wrong; the later of two ideas of "now" counts. */
async function findExpiry(
  { repository, sessionId, clock }: Publish,
  cancel: Cancel,
): Promise<Extract<Published, { kind: 'expired' }> | null> {
  const { store } = repository
  const { sessionMsMax } = repository.settings
  const start = await readSessionStart({ repository, sessionId }, cancel)
  const startedAt = start === null ? null : ((await store.head(startKey(sessionId), cancel))?.modifiedAt ?? null)
  if (startedAt === null) return { kind: 'expired', startedAt, sessionMsMax }
  const sealedAt = (await store.head(candidateKey(sessionId), cancel))?.modifiedAt ?? startedAt
  const nowMs = Math.max(clock.nowMs(), Date.parse(sealedAt))
  return nowMs - Date.parse(startedAt) > sessionMsMax ? { kind: 'expired', startedAt, sessionMsMax } : null
}

function candidateMissing(sessionId: SessionId): BackupError {
  return new BackupError(`Cannot publish session "${sessionId}": it has no candidate`, {
    code: 'candidate-missing',
    kind: 'not-found',
    hint: 'The transfer did not finish; the job reads the disks again',
    facts: { sessionId },
  })
}
