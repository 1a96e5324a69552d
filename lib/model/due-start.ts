// When a schedule that one machine keeps is to start its policy. Pure.

import { createHash } from 'node:crypto'
import { lastTime, nextTimes } from './cron-times.ts'

export type KeptTimes = {
  /** What a rate counts from. */
  readonly anchorMs: number
  /** Times up to this one are done with. */
  readonly doneMs: number
}

export type Timed = {
  readonly policy: string
  readonly when:
    | { readonly kind: 'cron'; readonly fields: string }
    | { readonly kind: 'rate'; readonly everyMs: number }
  readonly timeZone: string
  readonly jitterMs: number
}

export type DueStart = {
  /** The time that it was meant for. */
  readonly atMs: number
  /** Earlier times that nobody was there for: they are not started any more. MISSED_MAX at most. */
  readonly missed: number
}

const MISSED_MAX = 1_000

/** @returns the newest time that is due and not done with: of many that were missed only that one is caught up */
export function dueStart(schedule: Timed, { anchorMs, doneMs }: KeptTimes, nowMs: number): DueStart | null {
  const { when, timeZone } = schedule
  const beforeMs = nowMs - jitterOf(schedule)
  if (when.kind === 'rate') {
    const turn = Math.floor((beforeMs - anchorMs) / when.everyMs)
    const atMs = anchorMs + turn * when.everyMs
    if (turn < 0 || atMs <= doneMs) return null
    const done = Math.floor((doneMs - anchorMs) / when.everyMs)
    return { atMs, missed: Math.min(MISSED_MAX, Math.max(0, turn - done - 1)) }
  }
  const cron = { fields: when.fields, timeZone }
  const atMs = lastTime(cron, beforeMs)
  if (atMs === null || atMs <= doneMs) return null
  return { atMs, missed: nextTimes(cron, doneMs, MISSED_MAX).filter((ms) => ms < atMs).length }
}

/** How much later than its time this policy starts: always the same, and different for others. */
export function jitterOf({ policy, jitterMs }: Pick<Timed, 'policy' | 'jitterMs'>): number {
  if (jitterMs === 0) return 0
  return createHash('sha256').update(policy).digest().readUInt32BE(0) % jitterMs
}
