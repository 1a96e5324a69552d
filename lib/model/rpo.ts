// "At least every four hours": how often to look, and which VMs are due at a look. Pure.

import type { VmHistory } from './vm-history.ts'

const MINUTE_MS = 60_000
const TICK_MS_MAX = 60 * MINUTE_MS

/** How often VMs of a policy are looked at: eight times in its RPO, in whole minutes, from 1 minute to 1 hour. */
export function rpoTickMs(rpoMs: number): number {
  const minutes = Math.floor(rpoMs / 8 / MINUTE_MS)
  return Math.min(TICK_MS_MAX, Math.max(1, minutes) * MINUTE_MS)
}

export type Lately = Pick<VmHistory, 'lastSuccess' | 'failures'>

/**
 * When a VM must be started so that its newest point never becomes older than the RPO: by then, less what its last backup took from start to
 * commit (half the RPO at most). Negative infinity for one that has no point.
 */
export function dueByMs({ lastSuccess }: Pick<Lately, 'lastSuccess'>, rpoMs: number): number {
  if (lastSuccess === null) return Number.NEGATIVE_INFINITY
  const leadMs = Math.min(rpoMs / 2, lastSuccess.tookMs)
  return Date.parse(lastSuccess.at) + rpoMs - leadMs
}

/**
 * Whether a VM is started at this look: it could not wait for the next one. One whose backups fail is tried ever more rarely, up to once in
 * an RPO: each try may stun it.
 */
export function isDue(history: Lately, rpoMs: number, nowMs: number): boolean {
  const tickMs = rpoTickMs(rpoMs)
  const { failures } = history
  if (failures !== null) {
    const pauseMs = Math.min(rpoMs, tickMs * 2 ** Math.min(failures.inRow, 20)) - tickMs
    if (nowMs < Date.parse(failures.at) + pauseMs) return false
  }
  return dueByMs(history, rpoMs) < nowMs + tickMs
}
