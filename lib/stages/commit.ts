// commit: the only committer. Looks once more whether what was read is what capture froze, then publishes the candidate.

import { isoTime } from '../base/clock.ts'
import { hasCode, unreachable } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { sessionIdOf } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import { type Published, publishCandidate } from '../repository/candidate.ts'
import { readPoint } from '../repository/points.ts'
import type { Repository } from '../repository/repository.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { changed, lookAgain } from './last-look.ts'
import { movedBy, type Step } from './step.ts'
import { noteTrackingFault } from './unproven.ts'

export async function commit(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Step> {
  const job = hold.job()
  const { capture } = job
  if (capture === null) return movedBy({ kind: 'failed', outcome: changed(job, 'its capture record is missing') })
  const repository = await deps.repository(cancel)
  if (await isPublished(job, repository, { deps, cancel })) return committed(job, 'already-ours', deps)
  const last = await lookAgain(job, capture, { deps, cancel })
  if (last.waitsFor !== null) return { kind: 'again', delayMs: deps.limits.pollMs, waitsFor: last.waitsFor }
  if (last.difference !== null) return movedBy({ kind: 'failed', outcome: changed(job, last.difference) })

  await noteTrackingFault(hold, { deps, cancel })
  const answer = await publish(job, repository, { deps, cancel })
  if (typeof answer === 'object') return refused(job, refusalOf(job, answer))
  return committed(job, answer, deps)
}

/** What was read cannot become a point; a new attempt can, while there is one left. */
function refused(job: Job, { code, message }: { readonly code: string; readonly message: string }): Step {
  if (job.attempt < job.policy.attemptsMax) {
    return movedBy({ kind: 'candidate-refused', notice: { code, message: `${message}; it is read again`, hint: null } })
  }
  return movedBy({ kind: 'failed', outcome: { kind: 'failed', code, message, hint: 'Start the backup again' } })
}

function refusalOf(
  { vm }: Job,
  answer: Exclude<Published, string>,
): { readonly code: string; readonly message: string } {
  switch (answer.kind) {
    case 'conflict': {
      const message = `Another restore point of VM "${vm.name}" took sequence ${answer.winner.sequence} first`
      return { code: 'point-conflict', message }
    }
    case 'expired': {
      const hours = Math.round(answer.sessionMsMax / 3_600_000)
      const age = answer.startedAt === null ? 'the start of its session is gone' : `it began at ${answer.startedAt}`
      const message = `Cannot publish what was read of VM "${vm.name}": ${age}, the repository allows ${hours} hours from there`
      return { code: 'session-expired', message }
    }
    default:
      return unreachable(answer)
  }
}

function committed(job: Job, answer: 'published' | 'already-ours', deps: StageDeps): Step {
  deps.log.info('point.committed', { point: job.pointId ?? '', answer })
  return movedBy({ kind: 'committed', at: isoTime(deps.clock.nowMs()) })
}

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/** An error leaves open whether the point was written: only a second look tells. */
async function publish(job: Job, repository: Repository, call: Call): Promise<Published> {
  const { clock } = call.deps
  try {
    return await publishCandidate({ repository, sessionId: sessionIdOf(job.id, job.attempt), clock }, call.cancel)
  } catch (error) {
    if (await isPublished(job, repository, call).catch(() => false)) return 'already-ours'
    throw error
  }
}

/** An earlier try may have published without living to say so: what happened to the VM since does not undo that. */
async function isPublished(job: Job, repository: Repository, { deps, cancel }: Call): Promise<boolean> {
  const sessionId = sessionIdOf(job.id, job.attempt)
  const result = (await deps.jobStore.attempts.get(sessionId, cancel))?.value.result ?? null
  if (result?.kind !== 'sealed') return false
  try {
    const ref = { vmId: job.vm.vmId, sequence: result.sequence }
    return (await readPoint({ repository, ref }, cancel)).envelope.sessionId === sessionId
  } catch (error) {
    if (hasCode(error, 'point-missing')) return false
    throw error
  }
}
