// One session for several holders: opened by the first, logged out when the last gives it back. vCenter counts sessions.

import { type Cancel, isAbort } from '../../base/time-limit.ts'
import { openSession, type VimSession, type VsphereSettings } from './session.ts'

export interface SharedSession {
  /** Every take that succeeded needs one giveBack. */
  take(cancel: Cancel): Promise<VimSession>
  giveBack(): Promise<void>
}

export function shareSession(settings: VsphereSettings): SharedSession {
  let holders = 0
  let opening: Promise<VimSession> | null = null
  const close = async () => {
    const session = opening
    opening = null
    await (await session)?.[Symbol.asyncDispose]()
  }
  return {
    take: async (cancel) => {
      holders++
      while (true) {
        const session = opening ?? openSession(settings, cancel)
        opening = session
        try {
          return await session
        } catch (error) {
          if (opening === session) opening = null
          // Another holder's opening was cancelled: this one opens for itself.
          if (isAbort(error) && !cancel.signal.aborted) continue
          holders--
          throw error
        }
      }
    },
    giveBack: async () => {
      holders--
      if (holders === 0) await close()
    },
  }
}
