// What people should know without asking, sent to whoever subscribed. A topic that refuses holds up nothing: what happened stands in state.

import { messageOf } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import type { Notification } from '../ports/notifier.ts'
import type { StageDeps } from './deps.ts'

type Deps = Pick<StageDeps, 'notifier' | 'metrics' | 'log'>

export async function notify(notification: Notification, deps: Deps, cancel: Cancel): Promise<void> {
  try {
    await deps.notifier.notify(notification, cancel)
  } catch (error) {
    if (cancel.signal.aborted) throw error
    deps.metrics.count('notification.lost', 1)
    deps.log.warn('notification.lost', { notification: notification.id, message: messageOf(error) })
  }
}

/** A backup that failed; every other end is told by events. */
export async function notifyFailure(job: Job, deps: Deps, cancel: Cancel): Promise<void> {
  const { outcome, vm, policy } = job
  if (outcome?.kind !== 'failed') return
  const hint = outcome.hint === null ? '' : `\n${outcome.hint}`
  await notify(
    {
      id: `${job.id}.failed`,
      severity: 'critical',
      subject: `The backup of VM "${vm.name}" failed`,
      message: `${outcome.message}${hint}\nPolicy "${policy.name}", job ${job.id}`,
      facts: { job: job.id, run: job.runId, policy: policy.name, vm: vm.name, vmId: vm.vmId, code: outcome.code },
    },
    deps,
    cancel,
  )
}
