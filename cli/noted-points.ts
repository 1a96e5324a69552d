// coldframe points where only the engine can reach the repository: what it has noted of its points. What speaks for or against their bytes is
// not among it: that is said in the repository.

import { BackupError } from '../lib/base/errors.ts'
import { formatBytes } from '../lib/base/text.ts'
import { sortPoints } from '../lib/operate/point-view.ts'
import type { PointDocument } from '../lib/wire/api/documents.ts'
import type { Answer } from './answer.ts'
import { engineOf } from './open-engine.ts'
import { shortTime, table } from './terminal.ts'
import type { World } from './world.ts'

export async function notedPoints(
  { vm, proof }: { readonly vm?: string; readonly proof?: true },
  world: World,
): Promise<Answer> {
  if (proof === true) {
    throw new BackupError('Cannot show the proof of restore points: it is in the repository, which is not known here', {
      code: 'usage',
      kind: 'usage',
      hint: 'Set COLDFRAME_REPOSITORY and its passphrase, or leave --proof out',
    })
  }
  const points = sortPoints(await engineOf(world).points(vm ?? null))
  if (vm !== undefined && points.length === 0) {
    throw new BackupError(`No restore point of VM "${vm}" is noted`, {
      code: 'vm-not-found',
      kind: 'not-found',
      hint: '"coldframe points" lists all of them',
      facts: { vm },
    })
  }
  return { data: { points, unreadable: [], unreadableAnnotations: [] }, text: textOf(points), fault: null }
}

function textOf(points: readonly PointDocument[]): string {
  if (points.length === 0) return 'No restore points yet\n'
  const columns = ['VM', 'POINT', 'ID', 'CAPTURED (UTC)', 'GRADE', 'DISKS', 'SIZE', 'STORED'].map((title) => ({
    title,
    align: ['POINT', 'DISKS', 'SIZE', 'STORED'].includes(title) ? ('right' as const) : ('left' as const),
  }))
  const rows = points.map((point) => [
    point.vm,
    `@${point.sequence}`,
    point.id.slice(0, 12),
    shortTime(point.capturedAt),
    point.grade,
    String(point.disks.length),
    formatBytes(point.disks.reduce((sum, disk) => sum + disk.capacityBytes, 0)),
    formatBytes(point.storedBytes),
  ])
  return table(columns, rows)
}
