// Ways into a guest: run a program, put and get files, say who we are. No code.

import type { Cancel } from '../base/time-limit.ts'
import type { ChannelKind, GuestCredentials, GuestFamily, GuestIdentity } from '../model/guest.ts'

export type ProgramRequest = {
  /** A path in the guest, or a name that the guest's PATH finds. */
  readonly program: string
  /** Handed over one by one: no shell of the guest reads them. */
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly workingDirectory: string | null
  /** After it the program and all its descendants are killed. */
  readonly timeoutMs: number
  /** Over ssh by `sudo -n` where the account is not root; elsewhere the account itself must be elevated. */
  readonly elevated: boolean
}

/** Streams are UTF-8, cut at 64 KiB each. */
export type ProgramResult = {
  /** Null when it timed out or was killed. */
  readonly exitCode: number | null
  readonly timedOut: boolean
  readonly stdout: string
  readonly stderr: string
}

/**
 * One way into one guest, open until disposed. Calls may come one after the other only. Every call may throw BackupError:
 * `guest-unreachable` (retry later: the network or VMware Tools went away), `guest-login-refused`,
 * `guest-elevation-refused` (its message names what would allow it), `guest-path-missing`, `guest-program-missing`.
 */
export interface GuestChannel extends AsyncDisposable {
  readonly kind: ChannelKind
  readonly family: GuestFamily
  /** Null for vix. */
  readonly address: string | null
  whoAmI(cancel: Cancel): Promise<GuestIdentity>
  /** Kills the program and its descendants also when the signal ends the call. */
  run(request: ProgramRequest, cancel: Cancel): Promise<ProgramResult>
  /** A fresh directory on the guest's temporary storage that only this account can enter. */
  makeDirectory(cancel: Cancel): Promise<string>
  /**
   * Writes a whole file, replacing one of the same name, and compares its SHA-256 as the guest computes it.
   * @throws BackupError `guest-file-damaged`, `guest-path-missing` when its directory does not exist
   */
  put(
    file: { readonly path: string; readonly bytes: Uint8Array; readonly executable: boolean },
    cancel: Cancel,
  ): Promise<void>
  /** @throws BackupError `guest-file-damaged`, `guest-path-missing`, `guest-file-large` beyond bytesMax */
  get(file: { readonly path: string; readonly bytesMax: number }, cancel: Cancel): Promise<Uint8Array>
  /** SHA-256 of a file as the guest computes it, 64 lower-case hex digits. */
  digest(path: string, cancel: Cancel): Promise<string>
  /** Removes a file, or a directory with everything in it, and looks that it is gone; what is absent is no error. */
  remove(path: string, cancel: Cancel): Promise<void>
}

export type { GuestCredentials }

/** Which keys or certificates may answer: those pinned, or, when `firstSeen`, any if none is pinned. */
export type PinRule = { readonly pins: readonly string[]; readonly firstSeen: boolean }

export type NetworkDoor = { readonly address: string; readonly port: number }

/** Guests over the network. */
export interface GuestNetwork {
  /** Tries to connect to all at once, within the budget. @returns an answer a door, in the order of the doors */
  probe(
    doors: readonly NetworkDoor[],
    options: { readonly budgetMs: number },
    cancel: Cancel,
  ): Promise<
    readonly (
      | { readonly kind: 'answers'; readonly elapsedMs: number }
      | { readonly kind: 'silent'; readonly reason: string }
    )[]
  >
  /**
   * @throws BackupError `guest-unreachable`, `guest-login-refused`, `guest-host-key-unknown` and `guest-host-key-changed`
   * (facts: seen, pinned), `guest-credentials-unfit` (nothing in them fits this way in)
   */
  openSsh(
    request: NetworkDoor & {
      readonly credentials: GuestCredentials
      readonly family: GuestFamily
      readonly rule: PinRule
    },
    cancel: Cancel,
  ): Promise<{ readonly channel: GuestChannel; readonly seen: string; readonly warnings: readonly string[] }>
  /** @throws BackupError as openSsh(), with `guest-certificate-unknown` and `guest-certificate-changed` for the certificate */
  openWinrm(
    request: NetworkDoor & { readonly credentials: GuestCredentials; readonly rule: PinRule },
    cancel: Cancel,
  ): Promise<{ readonly channel: GuestChannel; readonly seen: string; readonly warnings: readonly string[] }>
}
