// What a row of the lie table holds: what a vCenter says that is not so, or what happens in the middle of a backup; how it is
// noticed; what becomes of it. docs/LIES.md is made of the rows.

import type { Policy } from '../../lib/model/policy.ts'
import type { StageLimits } from '../../lib/stages/deps.ts'
import type { MachineAction } from '../../sim/estate/actions.ts'
import type { MachineDescription } from '../../sim/estate/description.ts'
import type { Mishap } from '../../sim/read-mishap.ts'

export type Act = { readonly action: MachineAction; readonly body?: object }

/** As in a scenario file; an action is done to the machine that is backed up. */
export type Rule = {
  readonly call: string
  readonly nth?: number
  readonly times?: number
  readonly mishap: Exclude<Mishap, { readonly kind: 'action' }> | (Act & { readonly kind: 'action' })
}

/** Where the lie shows. */
export type Sign =
  /** A disk of the point was read whole, for this cause (WholeCause). */
  | { readonly read: string }
  /** The job carries this notice. */
  | { readonly notice: string }
  /** The job ended with this code. */
  | { readonly outcome: string }
  /** The log has this event, with these words somewhere in its facts. */
  | { readonly log: string; readonly says?: RegExp }
  /** The job needed so many attempts. */
  | { readonly attempts: number }
  /** This call was made again: so many are counted. */
  | { readonly repeats: string; readonly calls: number }
  /** The job waited for something with these words. */
  | { readonly waits: string }
  /** Not in this backup, but in the next one. */
  | { readonly later: string }
  /** Not at all: it harms nothing, for this reason. */
  | { readonly harmless: string }
  /** Not at all: at least so many bytes are read, and no byte is wrong. */
  | { readonly readBytes: number }

export type Lie = {
  /** A sentence without its full stop: what is not so. */
  readonly lie: string
  /** The very first backup is the one that is lied to. */
  readonly first?: true
  readonly machine?: Partial<MachineDescription>
  /** Both are of the backup that is lied to, and of no other. */
  readonly policy?: Partial<Policy>
  readonly limits?: Partial<StageLimits>
  /** Done after a first good backup and more writes of the guest, before the backup that is lied to. */
  readonly before?: readonly Act[]
  /** Armed for that backup. */
  readonly rules?: readonly Rule[]
  /** How long is waited when that backup has ended. */
  readonly pauseMs?: number
  /** Done then. */
  readonly after?: readonly Act[]
  readonly noticed: readonly Sign[]
  readonly ends: { readonly kind: 'success' | 'warning' | 'failed' | 'skipped'; readonly code: string }
  /** How the backup after it ends, told nothing but the truth; a success if not given. */
  readonly next?: Lie['ends']
  readonly nextPolicy?: Partial<Policy>
  /** The guest writes nothing before the next backup: it could hide what the lie left. */
  readonly quiet?: true
  /** Sequences of points that hold wrong bytes: nothing can have told so in time, and each is marked as unproven later. */
  readonly unproven?: readonly number[]
  /** Snapshots of others that are there at the end. */
  readonly foreign?: readonly string[]
}

export type Chapter = { readonly title: string; readonly lies: readonly Lie[] }

export const ok = { kind: 'success', code: 'ok' } as const

export const failed = (code: string) => ({ kind: 'failed', code }) as const

export const warning = (code: string) => ({ kind: 'warning', code }) as const

export const QUERY = 'QueryChangedDiskAreas'

/** A read of a part of a disk. */
export const READ = '/folder range'

/** The guest writes more. */
export const writes: readonly Act[] = [{ action: 'write', body: { bytes: 300_000 } }]

/** In the middle of a read. */
export const during = (action: MachineAction, body: object = {}): readonly Rule[] => [
  { call: READ, nth: 3, mishap: { kind: 'action', action, body } },
]
