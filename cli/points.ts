// coldframe points: the restore points of the repository with their grade. Needs the repository and its passphrase only.

import { BackupError } from '../lib/base/errors.ts'
import { formatBytes, formatDuration, nearNames } from '../lib/base/text.ts'
import { describeProof } from '../lib/operate/grade-words.ts'
import { type KnownPoints, readKnownPoints } from '../lib/operate/known-points.ts'
import {
  type PointView,
  sortPoints,
  type UnreadableView,
  viewPoint,
  viewUnreadable,
} from '../lib/operate/point-view.ts'
import type { Answer } from './answer.ts'
import { openRepository } from './context.ts'
import { readSettings } from './settings.ts'
import { printable, shortTime, table } from './terminal.ts'
import type { World } from './world.ts'

export async function points(options: { readonly vm?: string; readonly proof?: true }, world: World): Promise<Answer> {
  const settings = await readSettings(world, ['repository'])
  const repository = await openRepository(settings, world)
  const known = await readKnownPoints(repository, world)
  const chosen = options.vm === undefined ? known : ofVm(options.vm, known)
  const views = sortPoints(chosen.points.map(viewPoint))
  const unreadable = chosen.unreadable.map(viewUnreadable)
  return {
    data: { points: views, unreadable },
    text: [
      views.length === 0 ? 'No restore points yet\n' : listText(views),
      ...(options.proof === true ? views.map(proofText) : []),
      ...unreadable.map(unreadableLine),
    ].join(''),
    fault: faultOf(unreadable),
  }
}

/** Points of a VM by its name or instance uuid. Unreadable points have no name: those of its uuid count as its own. */
function ofVm(name: string, known: KnownPoints): KnownPoints {
  const isNamed = (vmId: string, vmName: string) => vmName === name || vmId === name.toLowerCase()
  const points = known.points.filter(({ envelope, body }) => isNamed(envelope.vmId, body.vmName))
  const ids = new Set<string>([name.toLowerCase(), ...points.map(({ envelope }) => envelope.vmId)])
  const unreadable = known.unreadable.filter(({ ref }) => ids.has(ref.vmId))
  if (points.length > 0 || unreadable.length > 0) return { points, unreadable }
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
  const columns = ['VM', 'POINT', 'ID', 'CAPTURED (UTC)', 'GRADE', 'FREEZE', 'READ AS', 'DISKS', 'SIZE', 'STORED'].map(
    (title) => ({
      title,
      align: ['POINT', 'FREEZE', 'DISKS', 'SIZE', 'STORED'].includes(title) ? ('right' as const) : ('left' as const),
    }),
  )
  const rows = views.map((point) => [
    point.vm,
    `@${point.sequence}`,
    point.id.slice(0, 12),
    shortTime(point.capturedAt),
    point.grade,
    point.consistency.freezeMs === 0 ? '-' : formatDuration(point.consistency.freezeMs),
    [...new Set(point.disks.map((disk) => disk.readMode))].join('+') || '-',
    `${point.disks.length}${point.excludedDisks.length === 0 ? '' : ` (${point.excludedDisks.length} left out)`}`,
    formatBytes(point.disks.reduce((sum, disk) => sum + disk.capacityBytes, 0)),
    formatBytes(point.storedBytes),
  ])
  const notes = views.flatMap((point) =>
    point.notices.map(({ message }) => `${point.vm}@${point.sequence}: ${message}`),
  )
  return `${table(columns, rows)}${[...new Set(notes)].map((note) => `${printable(note)}\n`).join('')}`
}

function proofText(point: PointView): string {
  const lines = describeProof(point.consistency)
  return `\n${[`${point.vm}@${point.sequence}`, ...lines.map((line) => `  ${line}`)].map((line) => `${printable(line)}\n`).join('')}`
}

function unreadableLine({ vmId, sequence, message }: UnreadableView): string {
  return `${printable(`UNREADABLE: point ${sequence} of VM ${vmId}: ${message}`)}\n`
}

function faultOf(unreadable: readonly UnreadableView[]): BackupError | null {
  const [first] = unreadable
  if (first === undefined) return null
  const count = unreadable.length === 1 ? '1 restore point' : `${unreadable.length} restore points`
  return new BackupError(`${count} cannot be read: ${first.message}`, {
    code: first.code,
    kind: 'integrity',
    hint: 'The other points can be restored; "coldframe verify --all" tells what is damaged',
    facts: { unreadable: unreadable.map(({ vmId, sequence }) => `${vmId}@${sequence}`) },
  })
}
