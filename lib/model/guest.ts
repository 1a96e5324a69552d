// Guests as a job knows them: the way in that was chosen, what was tried before it, and what scripts did there.

export type GuestFamily = 'linux' | 'windows'

/** 'ssh' and 'winrm' go over the network, 'vix' through VMware Tools and needs none. */
export type ChannelKind = 'ssh' | 'winrm' | 'vix'

/** One look for a way in, whatever came of it. */
export type ChannelAttempt = {
  readonly channel: ChannelKind
  /** "192.0.2.11", "2001:db8::21"; null for vix and where there was no address to try. */
  readonly address: string | null
  /** 'impossible': not tried, because what it needs is not there. */
  readonly outcome: 'opened' | 'unreachable' | 'refused' | 'impossible'
  /** One sentence, no full stop. */
  readonly reason: string
}

/** Who a channel acts as. Elevated: uid 0, or a token of high integrity on Windows; over ssh also by `sudo -n`. */
export type GuestIdentity = {
  readonly user: string
  readonly elevated: boolean
  /** What the account lacks and what would give it, one sentence; null when it is elevated. */
  readonly whyNot: string | null
}

/** Which script of a policy: before the snapshot, right after it, and once the restore point is committed. */
export type ScriptStage = 'pre-freeze' | 'post-thaw' | 'post-commit'

export type ScriptRun = {
  readonly stage: ScriptStage
  /** Null when it was killed or never ended by itself. */
  readonly exitCode: number | null
  readonly timedOut: boolean
  /** Whether the exit code is one of those that the policy counts as success. */
  readonly succeeded: boolean
  readonly elapsedMs: number
  /** The first 64 KiB, as UTF-8; output on stderr is no failure. */
  readonly stderr: string
}

/** "exit code 3", "killed at its time limit". */
export function endOfRun({ exitCode, timedOut }: Pick<ScriptRun, 'exitCode' | 'timedOut'>): string {
  return timedOut ? 'killed at its time limit' : `exit code ${exitCode ?? 'unknown'}`
}

/** Who thawed: the capture that froze, the guest's own timer, watch, release or a later freeze of the same job. */
export type ThawedBy = 'capture' | 'timer' | 'watch' | 'release' | 'next-freeze'

/** What prepare laid into the guest; everything that another process needs to thaw it and to clean up. */
export type GuestWorkspace = {
  readonly channel: ChannelKind
  readonly address: string | null
  readonly family: GuestFamily
  readonly user: string
  /** Whether the wrapper runs elevated. */
  readonly elevated: boolean
  /** An absolute path in the guest, in memory-backed storage. */
  readonly path: string
  /** Which scripts lie in it. */
  readonly scripts: readonly ScriptStage[]
}

/** What a job knows of its guest processing; null on the job where none is wanted. */
export type GuestState = {
  readonly attempts: readonly ChannelAttempt[]
  /** Null when no way in was found, or nothing was to be laid into the guest; `fallback` says why. */
  readonly workspace: GuestWorkspace | null
  readonly fallback: string | null
  /** Begun is noted before the script runs: it runs once, whatever becomes of us. */
  readonly postCommit: 'not-run' | 'begun' | 'ended'
}

/** Pins of one kind that were learned, and how: from the guest itself through VMware Tools, or as the first that answered. */
export type LearnedPins = {
  readonly pins: readonly string[]
  readonly learned: 'vix' | 'first-seen'
  readonly at: string
}

/** Keys and certificates of one VM's guest that were seen and are trusted from then on. */
export type GuestTrust = {
  /** "SHA256:" and 43 characters of base64, as OpenSSH prints them. */
  readonly hostKeys: LearnedPins | null
  /** SHA-256 of the WinRM listener's certificate, 64 lower-case hex digits. */
  readonly certificates: LearnedPins | null
}

/** An account in guests, as a secret holds it. */
export type GuestCredentials = {
  readonly user: string
  readonly password: string | null
  /** OpenSSH or PEM text, with its passphrase when it is encrypted. */
  readonly privateKey: string | null
  readonly passphrase: string | null
  /** Windows domain for WinRM; null for a local account. */
  readonly domain: string | null
  /** The account for the VMware Tools channel, where it is another one. */
  readonly vix: { readonly user: string; readonly password: string } | null
  /** Pins that the operator gives: "SHA256:…" as ssh-keygen -l prints it; SHA-256 of certificates in hex digits. */
  readonly hostKeys: readonly string[]
  readonly certificates: readonly string[]
  readonly sshPort: number
  readonly winrmPort: number
}
