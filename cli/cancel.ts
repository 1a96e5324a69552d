// coldframe cancel: ends what was asked for, gives back what it owes, and says what became of it.

import { BackupError } from '../lib/base/errors.ts'
import type { JobDocument } from '../lib/wire/api/documents.ts'
import type { Answer } from './answer.ts'
import { summaryOf } from './job-summary.ts'
import { engineOf } from './open-engine.ts'
import { answerOfOperation } from './operation-answer.ts'
import { openProgress } from './progress.ts'
import type { World } from './world.ts'

export async function cancel(id: string, world: World): Promise<Answer> {
  using progress = openProgress({ stream: world.progress, clock: world.clock })

  const ended = await engineOf(world).cancel(id, progress)
  if (ended.kind === 'operation') {
    const answer = answerOfOperation(ended.operation)
    return ended.operation.outcome?.code === 'cancelled' ? { ...answer, fault: null } : answer
  }
  const { jobs } = ended
  const text = jobs.length === 0 ? 'Cancelled before it was planned: no VM was touched\n' : jobs.map(summaryOf).join('')
  return { data: { jobs }, text, fault: faultOf(jobs) }
}

/** What was too far to be cancelled came to its own end: that is not what was asked for. */
function faultOf(jobs: readonly JobDocument[]): BackupError | null {
  const others = jobs.filter(({ outcome }) => outcome?.code !== 'cancelled')
  const [first] = others
  if (first === undefined) return null
  const many = `${others.length} of ${jobs.length} jobs were too far, or done, and came to their own end`
  return new BackupError(jobs.length === 1 ? `"${first.vm.name}" was too far to be cancelled` : many, {
    code: 'too-late-to-cancel',
    kind: 'refused',
    hint: 'A restore point that nobody needs is let go by the keep rules',
    facts: { jobs: others.map((job) => job.id) },
  })
}
