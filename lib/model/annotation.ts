// What is said about a restore point after it was written: kept beside it, never in it. Pure.

import type { AlarmId, PointId, SessionId, VmId } from './ids.ts'

/** Changed block tracking left out changes at some time since the disk was last read whole: bytes of it may be older than the point. */
export type Unproven = {
  readonly kind: 'unproven'
  /** One sentence. */
  readonly reason: string
  /** Device keys of the point's disks. */
  readonly diskKeys: readonly number[]
  /** The session that found it: it says so once. */
  readonly foundBy: SessionId
}

/** An alarm put the VM into quarantine before the point was written: what it holds may be what the alarm was about. */
export type Suspect = {
  readonly kind: 'suspect'
  readonly reason: string
  /** The alarm that put the quarantine on: of it this is said once. */
  readonly alarm: AlarmId
}

/** Somebody looked: what was suspected because of this alarm is suspected no more. */
export type Cleared = {
  readonly kind: 'cleared'
  readonly reason: string
  readonly alarm: AlarmId
  readonly by: string
}

export type Said = Unproven | Suspect | Cleared

export type Annotation = {
  readonly vmId: VmId
  readonly sequence: number
  /** A sequence could be used twice: what is said names the point itself. */
  readonly pointId: PointId
  /** From 1, beside one point. */
  readonly number: number
  readonly writtenAt: string
  readonly kind: string
  /** Null for a kind that this program does not know. */
  readonly said: Said | null
}

/** Whether two say the same: of one finder or one alarm a thing is said once. */
export function isSameSaid(one: Said, other: Said): boolean {
  if (one.kind === 'unproven' || other.kind === 'unproven')
    return one.kind === other.kind && 'foundBy' in one && 'foundBy' in other && one.foundBy === other.foundBy
  return one.kind === other.kind && one.alarm === other.alarm
}

/** Why a point is under suspicion, by alarms that nobody has cleared since; empty when it is not. */
export function suspicionsOf(said: readonly (Said | null)[]): readonly Suspect[] {
  const cleared = new Set(said.flatMap((one) => (one?.kind === 'cleared' ? [one.alarm] : [])))
  return said.flatMap((one) => (one?.kind === 'suspect' && !cleared.has(one.alarm) ? [one] : []))
}
