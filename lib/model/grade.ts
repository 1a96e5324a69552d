// How consistent a restore point is, with the proof it rests on.

import type { ChannelAttempt, GuestFamily, ScriptRun, ThawedBy } from './guest.ts'
import type { Grade } from './policy.ts'

export type GradeRecord = {
  readonly requested: Grade
  /** 'offline': the VM was powered off. */
  readonly reached: Grade | 'offline'
  /** The snapshot tree's own flag. */
  readonly quiesced: boolean
  readonly method: 'tools' | 'windows-vss' | 'scripts' | 'none'
  /**
   * Milliseconds from the start of pre-freeze to the start of the thaw, on the guest's own clock; 0 when no script of ours
   * froze anything.
   */
  readonly freezeMs: number
  /** Milliseconds from the snapshot call to the end of its task. */
  readonly snapshotMs: number
  /** Why less than the requested grade was reached, one sentence each. */
  readonly fallbacks: readonly string[]
  /** Null where no guest was processed, and on points written before there was any. */
  readonly proof: GradeProof | null
}

/** What the grade rests on, kept with the restore point. */
export type GradeProof = {
  readonly family: GuestFamily | null
  readonly attempts: readonly ChannelAttempt[]
  readonly user: string | null
  readonly elevated: boolean | null
  readonly scripts: readonly ScriptRun[]
  /** Null when no script of ours froze anything. */
  readonly thawedBy: ThawedBy | null
  readonly vss: VssProof | null
}

export type VssProof = {
  readonly context: 'ctx_auto' | 'ctx_backup'
  readonly backupType: 'copy' | 'full'
  /** Names of the writers in the manifest, each once, ascending. */
  readonly writers: readonly string[]
  /** vss_manifests<n>.zip as VMware Tools wrote it; null when there is none, with the reason in `absence`. */
  readonly manifestBase64: string | null
  readonly absence: string | null
}
