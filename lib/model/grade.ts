// How consistent a restore point is, with the proof it rests on.

import type { Grade } from './policy.ts'

export type GradeRecord = {
  readonly requested: Grade
  /** 'offline': the VM was powered off. */
  readonly reached: Grade | 'offline'
  /** The snapshot tree's own flag. */
  readonly quiesced: boolean
  readonly method: 'tools' | 'windows-vss' | 'scripts' | 'none'
  /** Milliseconds between the guest's freeze and its thaw, as far as we held it; 0 when nothing was frozen by us. */
  readonly freezeMs: number
  /** Milliseconds from the snapshot call to the end of its task. */
  readonly snapshotMs: number
  /** Why less than the requested grade was reached, one sentence each. */
  readonly fallbacks: readonly string[]
}
