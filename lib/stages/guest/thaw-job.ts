// Thawing the guest of a job from outside its capture: by watch when the deadline has passed, by release before anything else.

import { messageOf } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { ThawedBy } from '../../model/guest.ts'
import type { Job } from '../../model/job.ts'
import { postThawMs } from '../../model/policy.ts'
import type { StageDeps } from '../deps.ts'
import { thawGuest } from './freeze.ts'
import { placeOf } from './hold-guest.ts'
import { returnTo, vmOfGuest, whyNoWayIn } from './way-in.ts'

/**
 * Best effort: the guest's own timer does not need it. Takes effect once, however many call it.
 * @returns whether the guest says that nothing of this job is frozen in it
 */
export async function thawJob(
  { job, by }: { readonly job: Job; readonly by: ThawedBy },
  deps: StageDeps,
  cancel: Cancel,
): Promise<boolean> {
  const workspace = job.guest?.workspace ?? null
  if (workspace === null) return true
  const log = deps.log.with({ job: job.id, vm: job.vm.name, by })
  const limitMs = deps.limits.thawCallMs + postThawMs(job.policy, workspace.family)
  const limited = { signal: withTimeLimit(cancel.signal, limitMs) }
  try {
    await using session = await deps.vsphere.open(limited)

    const vm = await vmOfGuest(session, job, limited)
    if (vm === null) return true
    const way = await returnTo({ session, vm, job, workspace, persist: true }, deps, limited)
    if (way.entered === null) {
      log.warn('guest.thaw-failed', { message: whyNoWayIn(way) })
      return false
    }
    await using channel = way.entered.channel

    const answer = await thawGuest(
      channel,
      { place: placeOf(workspace), request: { number: 'all', by, close: by === 'release' } },
      limited,
    )
    log.info('guest.thawed', { thawedBy: answer.by, heldMs: answer.heldMs })
    return true
  } catch (error) {
    log.warn('guest.thaw-failed', { message: messageOf(error) })
    return false
  }
}
