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

export async function findLineage(repository: Repository, vmId: VmId, cancel: Cancel): Promise<Lineage> {
  const refs = await listPointRefs({ repository, vmId }, cancel)
  const sequence = (refs.at(-1)?.sequence ?? 0) + 1
  const notices: Notice[] = []
  for (const ref of refs.toReversed().slice(0, LOOKS_MAX)) {
    try {
      return { sequence, parent: await readPoint({ repository, ref }, cancel), orphanReason: null, notices }
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
  return { sequence, parent: null, orphanReason, notices }
}

/** The same with nothing continued: an attempt before found that what it continued is damaged. */
export function startAnew({ sequence, parent, notices }: Lineage): Lineage {
  const before = parent === null ? 'an earlier restore point' : `restore point ${parent.envelope.sequence}`
  const orphanReason = `What ${before} keeps is damaged`
  const notice: Notice = {
    code: 'point-damaged',
    message: `Every disk was read and stored anew: what ${before} keeps is damaged`,
    hint: 'Run "coldframe verify" on the earlier restore points of this VM',
  }
  return { sequence, parent: null, orphanReason, notices: [...notices, notice] }
}
