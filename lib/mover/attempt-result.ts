// What an attempt leaves in its record: the sealed candidate, or why there is none.

import { BackupError, messageOf } from '../base/errors.ts'
import { trackingFaultOf } from '../model/tracking-fault.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import type { AttemptResult } from './hold.ts'

/** A candidate's own facts; the point's notices are the mover's, those of the job before it are left out. */
export function sealedResult(point: StoredPoint, earlierNotices: number): AttemptResult {
  const { envelope, body } = point
  const sum = (of: (disk: (typeof body.disks)[number]) => number) =>
    body.disks.reduce((total, disk) => total + of(disk), 0)
  return {
    kind: 'sealed',
    pointId: envelope.pointId,
    sequence: envelope.sequence,
    counts: {
      readBytes: sum((disk) => disk.readBytes),
      newPlainBytes: sum((disk) => disk.newPlainBytes),
      storedBytes: body.storedBytes,
    },
    notices: body.notices.slice(earlierNotices),
    audits: body.disks.flatMap(({ key, label, audit }) => (audit === null ? [] : [{ key, label, audit }])),
    trackingFault: trackingFaultOf(body),
  }
}

/** Of several failed disks the sentence names each; code and retry are those that allow the least: as-full before later. */
export function failedResult(error: unknown): AttemptResult {
  const errors = membersOf(error)
  const known = errors.filter((member) => member instanceof BackupError)
  const worst = LEAST_FIRST.flatMap((retry) => known.filter((member) => retryOf(member) === retry))[0]
  const message = errors.map(messageOf).join('; ')
  const cut = message.length > MESSAGE_MAX ? `${message.slice(0, MESSAGE_MAX)}…` : message
  if (worst === undefined || known.length < errors.length) {
    return {
      kind: 'failed',
      code: 'internal',
      message: cut,
      hint: 'This is a fault of the program: please report it',
      retry: 'no',
    }
  }
  return { kind: 'failed', code: worst.code, message: cut, hint: worst.hint ?? null, retry: retryOf(worst) }
}

const MESSAGE_MAX = 2_000
const LEAST_FIRST = ['no', 'as-full', 'later'] as const

function membersOf(error: unknown): readonly unknown[] {
  return error instanceof AggregateError ? error.errors.flatMap(membersOf) : [error]
}

/** Damage of what the point would continue is passed by when everything is stored anew. */
function retryOf(error: BackupError): 'no' | 'later' | 'as-full' {
  return error.code === 'integrity' ? 'as-full' : error.retry
}
