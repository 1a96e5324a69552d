// Capture's way back into the guest that prepare laid a workspace into, opened before anything is frozen.

import { messageOf } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
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
}

/** Whatever an earlier try of this job froze is thawed first. */
export async function enterGuest(
  at: GuestAt,
  hold: JobHold,
  { deps, cancel }: { readonly deps: StageDeps; readonly cancel: Cancel },
): Promise<EnteredGuest> {
  const workspace = hold.job().guest?.workspace ?? null
  if (workspace === null) return nobody(null)
  const limited = { signal: withTimeLimit(cancel.signal, deps.limits.guestSetupMs) }
  try {
    const way = await returnTo({ ...at, workspace }, deps, limited)
    const { channel } = way
    if (channel === null) return nobody(`The guest cannot be frozen now. ${whyNoWayIn(way)}`)
    try {
      if (hold.job().freezes > 0) {
        await thawGuest(channel, { place: placeOf(workspace), request: { number: 'all', by: 'next-freeze' } }, limited)
        await hold.update((job) => ({ ...job, freezeDeadlineMs: null }), cancel)
      }
    } catch (error) {
      await channel[Symbol.asyncDispose]()
      throw error
    }
    const guest = { at, workspace, channel }
    return { guest, reason: null, [Symbol.asyncDispose]: () => channel[Symbol.asyncDispose]() }
  } catch (error) {
    cancel.signal.throwIfAborted()
    if (!isGuestFault(error)) throw error
    return nobody(`The guest cannot be frozen now: ${messageOf(error)}`)
  }
}

function nobody(reason: string | null): EnteredGuest {
  return { guest: null, reason, [Symbol.asyncDispose]: async () => undefined }
}
