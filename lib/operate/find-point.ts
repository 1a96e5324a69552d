// From what an operator types to one restore point: an id's beginning, NAME@SEQUENCE or NAME@latest.

import { BackupError, quote } from '../base/errors.ts'
import { nearNames } from '../base/text.ts'
import type { RestorePoint } from '../model/point.ts'
import type { UnreadablePoint } from '../repository/points.ts'

/** The least digits of a point id that are taken as its beginning. */
export const pointPrefixDigitsMin = 4

type Known<Point extends RestorePoint> = {
  readonly points: readonly Point[]
  readonly unreadable: readonly UnreadablePoint[]
}

/**
 * @param text the beginning of a point id (4 to 32 hex digits), or NAME@SEQUENCE or NAME@latest, NAME being a VM's name or its
 *   instance uuid
 * @throws BackupError `point-malformed` (usage), `point-not-found` and `point-ambiguous` (not-found); `integrity` when the point
 *   that is meant, or one that is newer than the latest readable one, cannot be read
 */
export function findPoint<Point extends RestorePoint>(text: string, known: Known<Point>): Point {
  const named = /^(.+)@(latest|[0-9]{1,10})$/s.exec(text)
  if (named === null) return byPrefix(text, known.points)
  const [, name = '', which = ''] = named
  const ofName = known.points.filter((point) => isOf(point, name))
  if (which === 'latest')
    return latestOf({ text, name }, { points: ofName, unreadable: known.unreadable }, known.points)
  const sequence = Number(which)
  const matches = ofName.filter((point) => point.envelope.sequence === sequence)
  refuseUnreadable(
    text,
    known.unreadable.filter(
      ({ ref }) => ref.sequence === sequence && (ref.vmId === name.toLowerCase() || ofName.some(isOfVm(ref.vmId))),
    ),
  )
  return only(matches, { text, known: known.points, ofName })
}

type Wanted = { readonly text: string; readonly name: string }

function latestOf<Point extends RestorePoint>({ text, name }: Wanted, of: Known<Point>, all: readonly Point[]): Point {
  const newest = new Map(of.points.map((point) => [point.envelope.vmId, point]))
  for (const point of of.points) {
    const { vmId, sequence } = point.envelope
    if (sequence > (newest.get(vmId)?.envelope.sequence ?? 0)) newest.set(vmId, point)
  }
  const point = newest.size > 1 ? null : [...newest.values()][0]
  refuseUnreadable(
    text,
    of.unreadable.filter(({ ref }) =>
      point === null || point === undefined
        ? ref.vmId === name.toLowerCase()
        : ref.vmId === point.envelope.vmId && ref.sequence > point.envelope.sequence,
    ),
  )
  return only([...newest.values()], { text, known: all, ofName: of.points })
}

function byPrefix<Point extends RestorePoint>(text: string, points: readonly Point[]): Point {
  const prefix = text.toLowerCase()
  if (/^[0-9a-f]{4,32}$/.test(prefix)) {
    const matches = points.filter((point) => point.envelope.pointId.startsWith(prefix))
    const ofName = points.filter((point) => isOf(point, text))
    if (matches.length > 0 || ofName.length === 0) return only(matches, { text, known: points, ofName })
  }
  const ofName = points.filter((point) => isOf(point, text))
  throw new BackupError(`Cannot tell which restore point ${quote(text)} is`, {
    code: 'point-malformed',
    kind: 'usage',
    hint:
      ofName.length > 0
        ? `For the VM's newest point write "${text}@latest", for another "${text}@NUMBER"`
        : `Give at least ${pointPrefixDigitsMin} digits of its id, or NAME@NUMBER, or NAME@latest; "coldframe points" lists them`,
    facts: { point: text },
  })
}

type Choice<Point> = { readonly text: string; readonly known: readonly Point[]; readonly ofName: readonly Point[] }

function only<Point extends RestorePoint>(matches: readonly Point[], { text, known, ofName }: Choice<Point>): Point {
  const [point] = matches
  if (point === undefined) throw notFound(text, { known, ofName })
  if (matches.length === 1) return point
  const names = matches.slice(0, 10).map(({ envelope, body }) => {
    return `"${envelope.vmId}@${envelope.sequence}" (${envelope.pointId.slice(0, 12)}, "${body.vmName}")`
  })
  throw new BackupError(`${matches.length} restore points are meant by ${quote(text)}: ${names.join(', ')}`, {
    code: 'point-ambiguous',
    kind: 'not-found',
    hint: "Give more digits of the point's id, or the VM's instance uuid instead of its name",
    facts: { point: text, candidates: matches.slice(0, 100).map(({ envelope }) => envelope.pointId) },
  })
}

function notFound(
  text: string,
  { known, ofName }: { readonly known: readonly RestorePoint[]; readonly ofName: readonly RestorePoint[] },
): BackupError {
  const name = text.split('@')[0] ?? text
  const names = [...new Set(known.map(({ body }) => body.vmName))]
  const near = nearNames(name, names)
  const sequences = ofName.map(({ envelope }) => envelope.sequence)
  const hint =
    sequences.length > 0
      ? `That VM has the points ${listed(sequences)}`
      : near.length > 0
        ? `Did you mean ${near.map(quote).join(' or ')}?`
        : known.length === 0
          ? 'The repository holds no restore points yet'
          : '"coldframe points" lists all restore points'
  return new BackupError(`Cannot find restore point ${quote(text)}`, {
    code: 'point-not-found',
    kind: 'not-found',
    hint,
    facts: { point: text },
  })
}

function listed(sequences: readonly number[]): string {
  const sorted = sequences.toSorted((left, right) => left - right)
  return sorted.length <= 10 ? sorted.join(', ') : `${sorted[0]} to ${sorted.at(-1)}`
}

function refuseUnreadable(text: string, unreadable: readonly UnreadablePoint[]): void {
  const [first] = unreadable
  if (first === undefined) return
  throw new BackupError(
    `Cannot use ${quote(text)}: point ${first.ref.sequence} of VM "${first.ref.vmId}" cannot be read: ${first.error.message}`,
    {
      code: first.error.code,
      kind: first.error.kind,
      hint: 'Name an older point by its number; "coldframe points" lists them',
      facts: { point: text, vmId: first.ref.vmId, sequence: first.ref.sequence },
      cause: first.error,
    },
  )
}

function isOf({ envelope, body }: RestorePoint, name: string): boolean {
  return body.vmName === name || envelope.vmId === name.toLowerCase()
}

function isOfVm(vmId: string): (point: RestorePoint) => boolean {
  return ({ envelope }) => envelope.vmId === vmId
}
