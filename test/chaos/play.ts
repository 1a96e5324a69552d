// One run as it is carried out: its world, what has struck so far, and what was seen to be wrong on the way.

import type { BackupError } from '../../lib/base/errors.ts'
import type { Moref } from '../../lib/model/ids.ts'
import type { Engine } from '../stages/engine.ts'
import { cancel, type World } from '../stages/world.ts'
import { type Dice, diceOf } from './dice.ts'
import { type FaultKind, UNSEEN_KINDS } from './fault-kinds.ts'
import type { Plan } from './plan.ts'

export type Play = {
  readonly plan: Plan
  readonly engine: Engine
  readonly world: World
  readonly dice: Dice
  /** How often each fault has struck. */
  readonly struck: Map<FaultKind, number>
  /** What must not have happened, in words. */
  readonly violations: string[]
  /** VMs of one anti-affinity group that had a snapshot at once, in words. */
  readonly crowded: string[]
  /** Every shared resource that a place was asked for in. */
  readonly resources: Set<string>
  /** Snapshots of others that must still be there. */
  readonly foreign: Set<Moref>
  /** Until when, by the world's clock, calls of these names fail. */
  readonly away: { readonly calls: RegExp; readonly untilMs: number; readonly error: () => BackupError }[]
  /** Moves the wall clock of every process. */
  readonly jumpMs: (ms: number) => void
  /** Nothing more goes wrong. */
  calm: boolean
}

/** Whether the fault strikes here and now; then it counts. */
export function strikes(play: Play, kind: FaultKind): boolean {
  const { plan, struck } = play
  const fault = plan.faults.find((one) => one.kind === kind)
  if (fault === undefined || play.calm || (struck.get(kind) ?? 0) >= fault.most) return false
  if (!diceFor(play, kind).hits(fault.chance)) return false
  struck.set(kind, (struck.get(kind) ?? 0) + 1)
  return true
}

const kept = new WeakMap<Play, Map<FaultKind, Dice>>()

/** Each fault throws its own dice: leaving one out changes nothing for the others. */
export function diceFor(play: Play, kind: FaultKind): Dice {
  const own = kept.get(play) ?? new Map<FaultKind, Dice>()
  kept.set(play, own)
  const { seed, run } = play.plan
  const dice = own.get(kind) ?? diceOf(seed, run, kind)
  own.set(kind, dice)
  return dice
}

/** Whether changes may be left out without a word, so that only audits find them. */
export function isUnseen({ faults }: Plan): boolean {
  return faults.some(({ kind }) => UNSEEN_KINDS.includes(kind))
}

/** Of backups, stun cycles and hunts. */
export function isOurs(snapshotName: string): boolean {
  return snapshotName.startsWith('coldframe-')
}

/** Does something later, by the world's clock, whoever waits for it. */
export function later({ world }: Play, ms: number, act: () => void): Promise<void> {
  return world.clock.sleep(ms, cancel).then(act)
}

export const SECOND_MS = 1_000
export const MINUTE_MS = 60 * SECOND_MS
