// What is said about restore points later (a/<vmId>/<sequence>/<n>): objects beside the points, added and never changed.

import { hexOf, utf8Decode, utf8Encode } from '../base/bytes.ts'
import { type Clock, isoTime } from '../base/clock.ts'
import { BackupError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type Annotation, isSameSaid, type Said } from '../model/annotation.ts'
import type { PointEnvelope } from '../model/point.ts'
import { type AnnotationJson, annotationJson, SAID_KINDS, saidJson } from '../wire/repository/annotation.ts'
import { canonicalJson } from '../wire/repository/canonical-json.ts'
import { corrupt } from '../wire/repository/corrupt.ts'
import { bytesOfHexExactly } from '../wire/repository/record-ref.ts'
import { authenticJson, sealJson } from './authentic-json.ts'
import { deriveKey, masterOf, type RepositoryKeys } from './keys.ts'
import {
  type AnnotationRef,
  annotationKey,
  annotationsPrefix,
  annotationsPrefixOf,
  type PointRef,
  parseAnnotationKey,
} from './object-keys.ts'
import type { Repository } from './repository.ts'
import { openOnce, sealOnce } from './seal.ts'
import { checkMayWrite } from './settings-documents.ts'

export type UnreadableAnnotation = { readonly ref: AnnotationRef; readonly error: BackupError }

export type AnnotationListing = {
  /** By VM, then by sequence, then by number. */
  readonly annotations: readonly Annotation[]
  /** Annotations that are there and cannot be believed: what they say of a point is not known. Never left out in silence. */
  readonly unreadable: readonly UnreadableAnnotation[]
}

const UNREADABLE_CODES = ['integrity', 'repository-version', 'repository-key']

/** Annotations read side by side. */
const READS_MAX = 16

/** All, or those of one VM or one point. @throws what the store throws */
export async function listAnnotations(
  list: { readonly repository: Repository; readonly of?: Pick<PointRef, 'vmId'> & Partial<PointRef> },
  cancel: Cancel,
): Promise<AnnotationListing> {
  const { repository, of } = list
  const prefix = of === undefined ? annotationsPrefix : annotationsPrefixOf(of)
  const refs = await annotationRefs(repository, prefix, cancel)
  const found: (Annotation | UnreadableAnnotation)[] = []
  for (let start = 0; start < refs.length; start += READS_MAX) {
    const some = refs.slice(start, start + READS_MAX)
    found.push(...(await Promise.all(some.map((ref) => readOrNote(repository, ref, cancel)))))
  }
  return { annotations: found.filter((one) => 'said' in one), unreadable: found.filter((one) => 'error' in one) }
}

async function readOrNote(
  repository: Repository,
  ref: AnnotationRef,
  cancel: Cancel,
): Promise<Annotation | UnreadableAnnotation> {
  try {
    return await readAnnotation(repository, ref, cancel)
  } catch (error) {
    if (!(error instanceof BackupError) || !UNREADABLE_CODES.includes(error.code)) throw error
    return { ref, error }
  }
}

/** So many others may add to one point at the same time. */
const TRIES_MAX = 20

/**
 * Adds what is said to a point. Repeating it is harmless: a session, or an alarm, says a thing of a point once.
 * @returns whether it was added now
 * @throws BackupError `repository-version` when a writer must know what this one does not
 */
export async function annotatePoint(
  annotate: {
    readonly repository: Repository
    readonly point: Pick<PointEnvelope, 'vmId' | 'sequence' | 'pointId'>
    readonly said: Said
    readonly random: Random
    readonly clock: Clock
  },
  cancel: Cancel,
): Promise<'added' | 'there'> {
  const { repository, point, said, random, clock } = annotate
  const { vmId, sequence, pointId } = point
  await checkMayWrite(repository, cancel)
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const { annotations, unreadable } = await listAnnotations({ repository, of: { vmId, sequence } }, cancel)
    if (annotations.some((one) => one.pointId === pointId && one.said !== null && isSameSaid(one.said, said)))
      return 'there'
    const taken = [...annotations, ...unreadable.map(({ ref }) => ref)].map(({ number }) => number)
    const number = Math.max(0, ...taken) + 1
    const { keys, id } = repository
    const value: Omit<AnnotationJson, 'sealed'> = {
      ...{ repositoryId: id, kid: keys.kid, vmId, sequence, number, pointId, kind: said.kind },
      writtenAt: isoTime(clock.nowMs()),
      salt: hexOf(random.bytes(16)),
    }
    const sealed = sealOnce({ key: keyOf(keys, value), aad: aadOf(value) }, utf8Encode(canonicalJson(said)))
    const document = { document: 'annotation', ...value, sealed: Buffer.from(sealed).toString('base64') }
    const bytes = sealJson(keys, { kid: keys.kid, value: document })
    const key = annotationKey({ vmId, sequence, number })
    if ((await repository.store.putIfAbsent({ key, bytes }, cancel)) === 'stored') return 'added'
  }
  throw new BackupError(`Cannot mark restore point ${sequence} of VM "${vmId}": others mark it all the time`, {
    code: 'annotation-contended',
    retry: 'later',
  })
}

async function annotationRefs(
  { store }: Repository,
  prefix: string,
  cancel: Cancel,
): Promise<readonly AnnotationRef[]> {
  const refs: AnnotationRef[] = []
  for await (const { key } of store.list(prefix, cancel)) {
    const ref = parseAnnotationKey(key)
    if (ref !== null) refs.push(ref)
  }
  // Numbers have no leading zeros: by name, 10 comes before 2.
  return refs.toSorted(
    (left, right) =>
      (left.vmId < right.vmId ? -1 : left.vmId > right.vmId ? 1 : 0) ||
      left.sequence - right.sequence ||
      left.number - right.number,
  )
}

/** @throws BackupError `integrity`, `repository-version`, `repository-key` */
async function readAnnotation(repository: Repository, ref: AnnotationRef, cancel: Cancel): Promise<Annotation> {
  const key = annotationKey(ref)
  const what = `what is said about restore point "${ref.sequence}" of VM "${ref.vmId}" ("${key}")`
  const bytes = await repository.store.get(key, cancel)
  if (bytes === null) throw corrupt(`Cannot read ${what}: it is listed and is gone`)
  const { keys } = repository
  const parsed = annotationJson.safeParse(authenticJson(keys, { bytes, kind: 'annotation', what }))
  if (!parsed.success) throw corrupt(`Cannot read ${what}: ${parsed.error.issues[0]?.message ?? 'a member is missing'}`)
  const json = parsed.data
  const own = json.vmId === ref.vmId && json.sequence === ref.sequence && json.number === ref.number
  if (!own || json.repositoryId !== repository.id)
    throw corrupt(`Cannot trust ${what}: it was written for another place`)
  const { vmId, sequence, pointId, number, writtenAt, kind } = json
  const sealed = new Uint8Array(Buffer.from(json.sealed, 'base64'))
  const text = openOnce({ key: keyOf(keys, json), aad: aadOf(json), what }, sealed)
  return {
    vmId,
    sequence,
    pointId,
    number,
    writtenAt,
    kind,
    said: SAID_KINDS.has(kind) ? saidIn(text, { kind, what }) : null,
  }
}

function saidIn(text: Uint8Array, { kind, what }: { readonly kind: string; readonly what: string }): Said {
  const parsed = saidJson.safeParse(JSON.parse(utf8Decode(text)))
  if (parsed.success && parsed.data.kind === kind) return parsed.data
  if (parsed.success) throw corrupt(`Cannot trust ${what}: it says that it is of another kind`)
  throw corrupt(`Cannot read ${what}: ${parsed.error.issues[0]?.message ?? 'a member is missing'}`)
}

function keyOf(keys: RepositoryKeys, { kid, salt }: Pick<AnnotationJson, 'kid' | 'salt'>): Uint8Array {
  return deriveKey(masterOf(keys, kid), { salt: bytesOfHexExactly(salt, 16), label: 'vmb1/annotation' })
}

function aadOf(one: Omit<AnnotationJson, 'sealed' | 'salt' | 'writtenAt'>): Uint8Array {
  const { repositoryId, kid, vmId, sequence, number, pointId, kind } = one
  return utf8Encode(['vmb1/annotation', repositoryId, kid, vmId, sequence, number, pointId, kind].join('/'))
}
