// What the stages ask of the wrapper that lies in the guest. Types alone: workspace.ts and freeze.ts carry it out, with
// posix-wrapper.ts and windows-wrapper.ts as the programs that run in the guest.

import type { GuestFamily, ScriptRun, ScriptStage, ThawedBy } from '../../model/guest.ts'

/** One script of a policy, read from the object store and checked against its pinned digest. */
export type LoadedScript = {
  readonly stage: ScriptStage
  /** The last part of the bundle's key: ".tgz", ".tar.gz" and ".zip" are unpacked, anything else is the script itself. */
  readonly fileName: string
  readonly bytes: Uint8Array
  /** 64 lower-case hex digits; the guest computes it once more before it unpacks or runs anything. */
  readonly sha256: string
  readonly entry: string
  readonly timeoutMs: number
  readonly successCodes: readonly number[]
}

/** Where the wrapper lies and how it is run. */
export type WrapperPlace = { readonly family: GuestFamily; readonly path: string; readonly elevated: boolean }

export type InstallRequest = {
  /** Part of the directory's name: 32 hex digits, unguessable, recorded as owed before this is called. */
  readonly token: string
  readonly elevated: boolean
  readonly scripts: readonly LoadedScript[]
  /** Told to every script; the wrapper adds COLDFRAME_STAGE and COLDFRAME_FREEZE (the freeze's number). */
  readonly environment: Readonly<Record<string, string>>
}

export type FreezeRequest = {
  /** From 1, unique in the job: each is used once, and none after a higher one. */
  readonly number: number
  /** From the start of pre-freeze to the start of the thaw, on the guest's monotonic clock. */
  readonly limitMs: number
  /** The guest's clock (see guestNowMs) after which this freeze must not begin any more. */
  readonly notAfterMs: number
}

export type FreezeAnswer =
  /** pre-freeze succeeded and nobody has thawed yet. */
  | { readonly kind: 'held'; readonly preFreeze: ScriptRun }
  /** pre-freeze failed, or timed out and was killed with all its descendants; the thaw is still to be called. */
  | { readonly kind: 'script-failed'; readonly preFreeze: ScriptRun }
  /** Thawed, by the timer for example, while pre-freeze still ran; it was killed first. */
  | { readonly kind: 'thawed-early'; readonly by: ThawedBy; readonly preFreeze: ScriptRun }
  /** Nothing was frozen: the number was used before or is lower than one that was, or it came after `notAfterMs`. */
  | { readonly kind: 'late'; readonly reason: string }
  /** Nothing was frozen: the timer could not be confirmed to run. */
  | { readonly kind: 'no-timer'; readonly reason: string }

export type ThawAnswer = {
  /** Null when this freeze never began: nothing was to be thawed, and it cannot begin any more. */
  readonly by: ThawedBy | null
  /** From the start of pre-freeze to the start of the thaw, on the guest's monotonic clock; 0 when it never began. */
  readonly heldMs: number
  /**
   * The first process that pre-freeze had named as holding the guest and that had ended before the thaw: then nothing held it.
   * Null when all lived, or none was named.
   */
  readonly lostHolder: number | null
  /** Null when there is no post-thaw script or nothing was to be thawed. */
  readonly postThaw: ScriptRun | null
}
