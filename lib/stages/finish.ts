// finish: tells the world how the job ended. Roll-ups of a run are asked of its jobs, never counted up here.

import { isoTime } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'
import { movedBy, type Step } from './step.ts'

export async function finish(hold: JobHold, deps: StageDeps, cancel: Cancel): Promise<Step> {
  const job = hold.job()
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
  return movedBy({ kind: 'finished', at })
}
