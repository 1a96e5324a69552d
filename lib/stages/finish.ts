// finish: cleans up in the guest and tells the world how the job ended. Roll-ups of a run are asked of its jobs, never counted up here.

import { isoTime } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import { withNotices } from '../model/advance.ts'
import type { Notice } from '../model/outcome.ts'
import { pay } from './debts.ts'
import type { StageDeps } from './deps.ts'
import { leaveGuest } from './guest/leave-guest.ts'
import type { JobHold } from './hold.ts'
import { movedBy, type Step } from './step.ts'

export async function finish(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Step> {
  const cleaned = await cleanGuest(hold, deps, cancel)
  if ('kind' in cleaned) return cleaned
  const { notices } = cleaned
  const job = withNotices(hold.job(), notices)
  const at = isoTime(deps.clock.nowMs())
  const outcome = job.outcome?.kind ?? 'failed'
  await deps.events.publish(
    {
      id: `${job.id}.done`,
      type: 'coldframe.job.done',
      subject: job.id,
      at,
      data: {
        run: job.runId,
        vm: job.vm.name,
        vmId: job.vm.vmId,
        outcome,
        code: job.outcome?.code ?? '',
        point: job.pointId,
        ...job.counts,
      },
    },
    cancel,
  )
  deps.metrics.count('job.done', 1, { outcome })
  deps.log.info('job.done', {
    outcome,
    code: job.outcome?.code ?? '',
    message: job.outcome?.message ?? '',
    ...job.counts,
  })
  return movedBy({ kind: 'finished', at, notices })
}

/** A guest that does not answer is tried again a few times; what is left there lies in its memory only. */
async function cleanGuest(
  hold: JobHold,
  deps: StageDeps,
  cancel: Cancel,
): Promise<{ readonly notices: readonly Notice[] } | Step> {
  const left = await leaveGuest(hold, { deps, cancel })
  if (left.kind === 'left') return { notices: left.notices }
  const { round, vm, owes } = hold.job()
  if (round + 1 < deps.limits.cleanupTries)
    return { kind: 'again', delayMs: deps.limits.pollMs, waitsFor: `the guest, to clean up in it: ${left.reason}` }
  for (const debt of owes) if (debt.kind === 'guest') await pay(hold, debt, cancel)
  const message = `Scripts of ours may still lie in the memory of guest "${vm.name}": ${left.reason}`
  const hint = 'They are gone with its next start; "coldframe-" directories below /run and /dev/shm are ours'
  return { notices: [{ code: 'guest-left-behind', message, hint }] }
}
