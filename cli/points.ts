// coldframe points: the restore points of the repository with their grade. Needs the repository and its passphrase only.

import { BackupError, unreachable } from '../lib/base/errors.ts'
import { readRecords } from '../lib/base/read-records.ts'
import { formatBytes, formatDuration, nearNames } from '../lib/base/text.ts'
import type { VmId } from '../lib/model/ids.ts'
import type { SnapshotTimes, VmHistory } from '../lib/model/vm-history.ts'
import { auditWords } from '../lib/operate/audit-words.ts'
import { describeProof } from '../lib/operate/grade-words.ts'
import { type KnownPoints, proofOfPoint, readKnownPoints } from '../lib/operate/known-points.ts'
import { doubtWords, isProven, type PointProof } from '../lib/operate/point-proof.ts'
import {
  type PointDiskView,
  type PointView,
  sortPoints,
  type UnreadableAnnotationView,
  type UnreadableView,
  viewPoint,
  viewUnreadable,
  viewUnreadableAnnotation,
} from '../lib/operate/point-view.ts'
import { describeSnapshot, snapshotOfPoint } from '../lib/operate/snapshot-words.ts'
import type { StoredPoint } from '../lib/repository/point-object.ts'
import type { Settings } from '../lib/wire/settings.ts'
import type { Answer } from './answer.ts'
import { isRepositoryElsewhere, openHomeIfThere, openRepository } from './context.ts'
import { notedPoints } from './noted-points.ts'
import { readSettings } from './settings.ts'
import { printable, shortTime, table } from './terminal.ts'
import type { World } from './world.ts'

export async function points(options: { readonly vm?: string; readonly proof?: true }, world: World): Promise<Answer> {
  if (await isRepositoryElsewhere(world)) return notedPoints(options, world)
  const settings = await readSettings(world, ['repository'])
  const repository = await openRepository(settings, world)
  const known = await readKnownPoints(repository, world)
  const chosen = options.vm === undefined ? known : ofVm(options.vm, known)
  const views = sortPoints(
    chosen.points.map((point) => viewPoint(point, { proof: proofOfPoint(point, known), said: known.said })),
  )
  const remembered = await rememberedOf(chosen.points, { settings, world })
  const times = options.proof === true ? timesOf(chosen.points, remembered) : null
  const held = heldOf(chosen.points, remembered)
  const unreadable = chosen.unreadable.map(viewUnreadable)
  const unreadableAnnotations = chosen.said.unreadable.map(viewUnreadableAnnotation)
  return {
    data: {
      points: times === null ? views : views.map((view) => ({ ...view, snapshot: times.get(view.id) ?? null })),
      unreadable,
      unreadableAnnotations,
    },
    text: [
      views.length === 0 ? 'No restore points yet\n' : listText(views),
      ...held.map((line) => `${printable(line)}\n`),
      ...(options.vm === undefined ? [] : newestWords(views)),
      ...(times === null ? [] : views.map((view) => proofText(view, times.get(view.id) ?? null))),
      ...(times === null || remembered.unknown === null
        ? []
        : [`${printable(`How snapshots weighed is not known: ${remembered.unknown}`)}\n`]),
      ...unreadable.map(unreadableLine),
      ...unreadableAnnotations.map(unreadableAnnotationLine),
    ].join(''),
    fault: faultOf([...unreadable, ...unreadableAnnotations], unreadable.length),
  }
}

type Remembered = { readonly histories: ReadonlyMap<VmId, VmHistory>; readonly unknown: string | null }

/** What the state of this machine remembers of the VMs. Points need no state: where it cannot be read, that is said. */
async function rememberedOf(
  points: readonly StoredPoint[],
  { settings, world }: { readonly settings: Settings; readonly world: World },
): Promise<Remembered> {
  try {
    using state = await openHomeIfThere(settings, world)

    if (state === null) return { histories: new Map(), unknown: null }
    const vmIds = [...new Set(points.map(({ envelope }) => envelope.vmId))]
    return { histories: await readRecords(state.jobStore.vms, vmIds, world), unknown: null }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return { histories: new Map(), unknown: error.message }
  }
}

/** VMs of which no point is let go. */
function heldOf(points: readonly StoredPoint[], { histories, unknown }: Remembered): readonly string[] {
  if (unknown !== null) return [`Which VMs keep all their points is not known: ${unknown}`]
  const names = new Map(points.map(({ envelope, body }) => [envelope.vmId, body.vmName]))
  return [...names].flatMap(([vmId, name]) => {
    const freeze = histories.get(vmId)?.retentionFreeze ?? null
    if (freeze === null) return []
    return [`${name}: HOLD: no restore point is let go since ${freeze.since}, for alarm "${freeze.alarmName}"`]
  })
}

/** How the snapshots of points weighed, by the point's id. */
function timesOf(points: readonly StoredPoint[], { histories }: Remembered): ReadonlyMap<string, SnapshotTimes> {
  const times = new Map<string, SnapshotTimes>()
  for (const point of points) {
    const found = snapshotOfPoint(point, histories.get(point.envelope.vmId))
    if (found !== null) times.set(point.envelope.pointId, found)
  }
  return times
}

/** Points of a VM by its name or instance uuid. Unreadable points have no name: those of its uuid count as its own. */
function ofVm(name: string, known: KnownPoints): KnownPoints {
  const isNamed = (vmId: string, vmName: string) => vmName === name || vmId === name.toLowerCase()
  const points = known.points.filter(({ envelope, body }) => isNamed(envelope.vmId, body.vmName))
  const ids = new Set<string>([name.toLowerCase(), ...points.map(({ envelope }) => envelope.vmId)])
  const unreadable = known.unreadable.filter(({ ref }) => ids.has(ref.vmId))
  const said = {
    annotations: known.said.annotations.filter(({ vmId }) => ids.has(vmId)),
    unreadable: known.said.unreadable.filter(({ ref }) => ids.has(ref.vmId)),
  }
  if (points.length > 0 || unreadable.length > 0) return { ...known, points, unreadable, said }
  const near = nearNames(name, [...new Set(known.points.map(({ body }) => body.vmName))])
  throw new BackupError(`The repository holds no restore points of VM "${name}"`, {
    code: 'vm-not-found',
    kind: 'not-found',
    hint:
      near.length === 0
        ? '"coldframe points" lists all of them'
        : `Did you mean ${near.map((one) => `"${one}"`).join(' or ')}?`,
    facts: { vm: name },
  })
}

function listText(views: readonly PointView[]): string {
  const columns = [
    'VM',
    'POINT',
    'ID',
    'CAPTURED (UTC)',
    'GRADE',
    'FREEZE',
    'READ AS',
    'PROVEN',
    'DISKS',
    'SIZE',
    'STORED',
  ].map((title) => ({
    title,
    align: ['POINT', 'FREEZE', 'PROVEN', 'DISKS', 'SIZE', 'STORED'].includes(title)
      ? ('right' as const)
      : ('left' as const),
  }))
  const rows = views.map((point) => [
    point.vm,
    `@${point.sequence}`,
    point.id.slice(0, 12),
    shortTime(point.capturedAt),
    point.grade,
    point.consistency.freezeMs === 0 ? '-' : formatDuration(point.consistency.freezeMs),
    [...new Set(point.disks.map((disk) => disk.readMode))].join('+') || '-',
    provenWord(point.proof),
    `${point.disks.length}${point.excludedDisks.length === 0 ? '' : ` (${point.excludedDisks.length} left out)`}`,
    formatBytes(point.disks.reduce((sum, disk) => sum + disk.capacityBytes, 0)),
    formatBytes(point.storedBytes),
  ])
  const notes = views.flatMap((point) => [
    ...(point.suspect === null ? [] : [`${point.vm}@${point.sequence}: SUSPECT: ${point.suspect}`]),
    ...(point.proven ? [] : [`${point.vm}@${point.sequence}: ${doubtWords(point.proof)}`]),
    ...point.notices.map(({ message }) => `${point.vm}@${point.sequence}: ${message}`),
  ])
  return `${table(columns, rows)}${[...new Set(notes)].map((note) => `${printable(note)}\n`).join('')}`
}

/** "yes": every byte was read. A share: of what tracking called unchanged, by the audit's round so far. */
function provenWord({ state, auditedPercent }: PointProof): string {
  switch (state) {
    case 'whole':
      return 'yes'
    case 'audited':
      return `${auditedPercent} %`
    case 'unproven':
      return 'NO'
    case 'unknown':
      return '?'
    default:
      return unreachable(state)
  }
}

/** How far the newest point of each VM has come. */
function newestWords(views: readonly PointView[]): readonly string[] {
  const newest = new Map(views.map((view) => [view.vmId, view]))
  return [...newest.values()].map(
    ({ vm, sequence, proof }) =>
      `${printable(`${vm}@${sequence}: ${isProven(proof) ? proof.reason : doubtWords(proof)}`)}\n`,
  )
}

function proofText(point: PointView, snapshot: SnapshotTimes | null): string {
  const { proof, disks } = point
  const lines = [
    ...describeProof(point.consistency),
    ...(snapshot === null ? [] : [`snapshot: ${describeSnapshot(snapshot)}`]),
    isProven(proof) ? `bytes: ${proof.reason}` : doubtWords(proof),
    ...disks.map((disk) => `${disk.label}: ${readWords(disk)}`),
  ]
  return `\n${[`${point.vm}@${point.sequence}`, ...lines.map((line) => `  ${line}`)].map((line) => `${printable(line)}\n`).join('')}`
}

function readWords({ readMode, readModeReason, audit, readBytes }: PointDiskView): string {
  const why = readModeReason === null ? '' : `, ${readModeReason}`
  const audited = audit === null ? '' : `; ${auditWords(audit)}`
  return `read as ${readMode}, ${formatBytes(readBytes)}${why}${audited}`
}

function unreadableAnnotationLine({ vmId, sequence, number, message }: UnreadableAnnotationView): string {
  return `${printable(`UNREADABLE: annotation ${number} of point ${sequence} of VM ${vmId}: ${message}`)}\n`
}

function unreadableLine({ vmId, sequence, message }: UnreadableView): string {
  return `${printable(`UNREADABLE: point ${sequence} of VM ${vmId}: ${message}`)}\n`
}

/** @param points how many of them are points; the others are annotations */
function faultOf(unreadable: readonly UnreadableView[], points: number): BackupError | null {
  const [first] = unreadable
  if (first === undefined) return null
  const annotations = unreadable.length - points
  const counts = [
    ...(points === 0 ? [] : [points === 1 ? '1 restore point' : `${points} restore points`]),
    ...(annotations === 0 ? [] : [annotations === 1 ? '1 annotation' : `${annotations} annotations`]),
  ]
  return new BackupError(`${counts.join(' and ')} cannot be read: ${first.message}`, {
    code: first.code,
    kind: 'integrity',
    hint: 'The other points can be restored; "coldframe verify --all" tells what is damaged',
    facts: { unreadable: unreadable.map(({ vmId, sequence }) => `${vmId}@${sequence}`) },
  })
}
