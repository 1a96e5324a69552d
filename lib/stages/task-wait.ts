// Waiting for a task of vCenter in a stage: for a while only. What takes longer goes on there, and the stage comes back to it.

import { anySignal, type Cancel, isAbort } from '../base/time-limit.ts'
import type { StageDeps } from './deps.ts'

/**
 * Starts a task and waits for its end for taskWaitMs.
 * @returns whether it ended; if not it goes on in vCenter, and is found there among the VM's running tasks
 */
export async function endsInTime(
  start: (cancel: Cancel) => Promise<void>,
  { clock, limits }: Pick<StageDeps, 'clock' | 'limits'>,
  cancel: Cancel,
): Promise<boolean> {
  const over = new AbortController()
  const ended = new AbortController()
  clock.sleep(limits.taskWaitMs, { signal: ended.signal }).then(
    () => over.abort(new DOMException('The task takes longer than it is waited for', 'TimeoutError')),
    () => undefined,
  )
  try {
    await start({ signal: anySignal([cancel.signal, over.signal]) })
    return true
  } catch (error) {
    cancel.signal.throwIfAborted()
    if (over.signal.aborted && isAbort(error)) return false
    throw error
  } finally {
    ended.abort()
  }
}
