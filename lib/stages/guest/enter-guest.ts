// Capture's way back into the guest that prepare laid a workspace into, opened before anything is frozen.

import { messageOf } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { ChannelAttempt } from '../../model/guest.ts'
import type { Job } from '../../model/job.ts'
import { postThawMs } from '../../model/policy.ts'
import type { StageDeps } from '../deps.ts'
import type { JobHold } from '../hold.ts'
import { thawGuest } from './freeze.ts'
import { type FreezableGuest, placeOf } from './hold-guest.ts'
import { isGuestFault } from './outcome-of-door.ts'
import { type GuestAt, returnTo, whyNoWayIn } from './way-in.ts'

export type EnteredGuest = AsyncDisposable & {
  /** Null where there is nothing to freeze by, or no way in. */
  readonly guest: FreezableGuest | null
  /** Why a guest that was prepared cannot be frozen now. */
  readonly reason: string | null
  /** What was tried to get in, and what is to know of it. */
  readonly attempts: readonly ChannelAttempt[]
  readonly warnings: readonly string[]
}

/** Whatever an earlier try of this job froze is thawed first. */
export async function enterGuest(
  at: GuestAt,
  hold: JobHold,
  { deps, cancel }: { readonly deps: StageDeps; readonly cancel: Cancel },
): Promise<EnteredGuest> {
  const workspace = hold.job().guest?.workspace ?? null
  if (workspace === null) return nobody(null)
  // An earlier freeze may have to be thawed first.
  const limitMs = deps.limits.guestSetupMs + postThawMs(hold.job().policy, workspace.family)
  const limited = { signal: withTimeLimit(cancel.signal, limitMs) }
  const attempts: ChannelAttempt[] = []
  try {
    const way = await returnTo({ ...at, workspace }, deps, limited)
    const { entered, warnings } = way
    attempts.push(...way.attempts)
    if (entered === null) return nobody(`The guest cannot be frozen now. ${whyNoWayIn(way)}`, attempts)
    const { channel } = entered
    try {
      if (hold.job().freezes > 0) {
        await thawGuest(channel, { place: placeOf(workspace), request: { number: 'all', by: 'next-freeze' } }, limited)
        if (mayNotBeginAnyMore(hold.job(), deps))
          await hold.update((job) => ({ ...job, freezeDeadlineMs: null }), cancel)
      }
    } catch (error) {
      await channel[Symbol.asyncDispose]()
      throw error
    }
    const guest = { at, workspace, channel }
    return { guest, reason: null, attempts, warnings, [Symbol.asyncDispose]: () => channel[Symbol.asyncDispose]() }
  } catch (error) {
    cancel.signal.throwIfAborted()
    if (!isGuestFault(error)) throw error
    return nobody(`The guest cannot be frozen now: ${messageOf(error)}`, attempts)
  }
}

/** The call of a capture that died may still be on its way; the guest refuses it only once its time is over. */
function mayNotBeginAnyMore({ freezeDeadlineMs, policy }: Job, { clock, limits }: StageDeps): boolean {
  if (freezeDeadlineMs === null) return true
  return clock.nowMs() >= freezeDeadlineMs - policy.scripts.freezeLimitMs - limits.thawMarginMs
}

function nobody(reason: string | null, attempts: readonly ChannelAttempt[] = []): EnteredGuest {
  return { guest: null, reason, attempts, warnings: [], [Symbol.asyncDispose]: async () => undefined }
}
