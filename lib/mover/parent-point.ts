// The restore point that a session continues: the newest of the VM that can be believed, by the repository's own listing.

import { BackupError, quote } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { VmId } from '../model/ids.ts'
import type { Notice } from '../model/outcome.ts'
import type { StoredPoint } from '../repository/point-object.ts'
import { listPointRefs, readPoint } from '../repository/points.ts'
import type { Repository } from '../repository/repository.ts'

export type Lineage = {
  /** The new point's. */
  readonly sequence: number
  readonly parent: StoredPoint | null
  /** Why there is no parent although there are points. */
  readonly orphanReason: string | null
  readonly notices: readonly Notice[]
}

const UNREADABLE_CODES = ['integrity', 'repository-version', 'repository-key', 'point-missing']
/** How far back a readable point is looked for. */
const LOOKS_MAX = 10
const SEQUENCE_MAX = 9_999_999_999

/** @throws BackupError `sequences-used-up` when no number is left after the last authentic point */
export async function findLineage(repository: Repository, vmId: VmId, cancel: Cancel): Promise<Lineage> {
  const refs = await listPointRefs({ repository, vmId }, cancel)
  const taken = new Set(refs.map((ref) => ref.sequence))
  const notices: Notice[] = []
  for (const ref of refs.toReversed().slice(0, LOOKS_MAX)) {
    try {
      const parent = await readPoint({ repository, ref }, cancel)
      return { sequence: freeAfter(ref.sequence, taken), parent, orphanReason: null, notices }
    } catch (error) {
      if (!(error instanceof BackupError) || !UNREADABLE_CODES.includes(error.code)) throw error
      notices.push({
        code: 'point-unreadable',
        message: `Restore point ${quote(String(ref.sequence))} cannot be continued: ${error.message}`,
        hint: error.hint ?? null,
      })
    }
  }
  const orphanReason = refs.length === 0 ? null : 'No earlier restore point of this VM can be read'
  const highest = refs.toReversed().find(({ sequence }) => sequence < SEQUENCE_MAX && !taken.has(sequence + 1))
  return { sequence: freeAfter(highest?.sequence ?? 0, taken), parent: null, orphanReason, notices }
}

/** The first number after `sequence` that no object has, whatever that object is. */
function freeAfter(sequence: number, taken: ReadonlySet<number>): number {
  let next = sequence + 1
  while (taken.has(next)) next++
  if (next <= SEQUENCE_MAX) return next
  throw new BackupError(`Cannot number the next restore point: every number after ${sequence} is taken`, {
    code: 'sequences-used-up',
    hint: 'Remove the objects under "r/" of this VM that are no restore points; "coldframe points" names them',
  })
}

/** 'asked': by whoever asked for the run; 'damaged': an attempt before found that what it continued is damaged. */
export type Anew = 'asked' | 'damaged'

/** The same with nothing continued. */
export function startAnew({ sequence, parent, orphanReason, notices }: Lineage, why: Anew): Lineage {
  if (why === 'asked') {
    const reason = parent === null ? orphanReason : 'A full backup was asked for'
    return { sequence, parent: null, orphanReason: reason, notices }
  }
  const before = parent === null ? 'an earlier restore point' : `restore point ${parent.envelope.sequence}`
  const notice: Notice = {
    code: 'point-damaged',
    message: `Every disk was read and stored anew: what ${before} keeps is damaged`,
    hint: 'Run "coldframe verify" on the earlier restore points of this VM',
  }
  return { sequence, parent: null, orphanReason: `What ${before} keeps is damaged`, notices: [...notices, notice] }
}
