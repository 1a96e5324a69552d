// A policy as it was applied: the text that a person wrote, what it says, and since when it holds.

import type { PolicyName } from './ids.ts'
import type { Policy } from './policy.ts'

export type StoredPolicy = {
  readonly name: PolicyName
  readonly policy: Policy
  /** The YAML, as it was given. */
  readonly text: string
  /** SHA-256 of the text, 64 lower-case hex digits. */
  readonly sha256: string
  /** ISO 8601, UTC. */
  readonly appliedAt: string
  /** Who did it, in the words of the door: a user of the machine, a role, a subject of a token. */
  readonly appliedBy: string
  /** A removed policy starts nothing more; its name and its points stay known. */
  readonly state: 'active' | 'removed'
}

/** A stored record must fit one item of a table together with what was read from it. In bytes of UTF-8. */
export const POLICY_TEXT_BYTES_MAX = 65_536
