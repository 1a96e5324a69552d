// Names of the repository's objects, relative to its place in a store; see docs/FORMAT.md.

import { type PointId, parseVmId, type SessionId, type VmId } from '../model/ids.ts'
import type { PackRef } from '../wire/repository/record-ref.ts'

/** A point's place: the only root of what it keeps. */
export type PointRef = { readonly vmId: VmId; readonly sequence: number }

export const settingsPrefix = 'repo/'
export const pointsPrefix = 'r/'

export function settingsKey(number: number): string {
  return `${settingsPrefix}${number}.json`
}

export function keysPrefix(kid: string): string {
  return `keys/${kid}/`
}

export function packKey(pack: PackRef): string {
  return `${pack.kind === 'data' ? 'p' : 'm'}/${pack.packId.slice(0, 2)}/${pack.packId}`
}

export function pointKey({ vmId, sequence }: PointRef): string {
  return `${pointsPrefixOf(vmId)}${String(sequence).padStart(10, '0')}.rp`
}

export function pointsPrefixOf(vmId: VmId): string {
  return `${pointsPrefix}${vmId}/`
}

/** @returns null for a key that is not a restore point's */
export function parsePointKey(key: string): PointRef | null {
  const match = /^r\/([0-9a-f-]{36})\/([0-9]{10})\.rp$/.exec(key)
  if (match === null) return null
  const [, vm = '', digits = ''] = match
  return { vmId: parseVmId(vm), sequence: Number(digits) }
}

/** A place for what is said about a point later; the first is 1. */
export type AnnotationRef = PointRef & { readonly number: number }

export const annotationsPrefix = 'a/'

/** Of one VM, or of one of its points. */
export function annotationsPrefixOf({ vmId, sequence }: Pick<PointRef, 'vmId'> & Partial<PointRef>): string {
  return sequence === undefined ? `a/${vmId}/` : `a/${vmId}/${String(sequence).padStart(10, '0')}/`
}

export function annotationKey({ number, ...point }: AnnotationRef): string {
  return `${annotationsPrefixOf(point)}${number}`
}

/** @returns null for a key that is not an annotation's */
export function parseAnnotationKey(key: string): AnnotationRef | null {
  const match = /^a\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/([0-9]{10})\/([1-9][0-9]{0,8})$/.exec(key)
  if (match === null) return null
  const [, vm = '', sequence = '', number = ''] = match
  return { vmId: parseVmId(vm), sequence: Number(sequence), number: Number(number) }
}

export function startKey(session: SessionId): string {
  return `s/${session}/start`
}

export function candidateKey(session: SessionId): string {
  return `s/${session}/candidate`
}

/** The plain list of the candidate's packs; named by the point, so that a second seal never fits the first's list. */
export function packListKey(session: SessionId, point: PointId): string {
  return `s/${session}/packs-${point}`
}

/** The number in a numbered object's key, such as "repo/3.json"; null when it has none. */
export function numberOf(key: string, prefix: string): number | null {
  const match = /^([1-9][0-9]{0,8})\.json$/.exec(key.slice(prefix.length))
  return match === null ? null : Number(match[1])
}
