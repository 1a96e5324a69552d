// What became of one way into a guest, told by its error: whether the next way may be tried. Pure.

import { BackupError } from '../../base/errors.ts'
import { isAbort } from '../../base/time-limit.ts'
import type { ChannelAttempt } from '../../model/guest.ts'

/** A refusal is the guest's own word, or a stranger's in its place: it is never gone round by another way in. */
const REFUSALS: ReadonlySet<string> = new Set([
  'guest-login-refused',
  'guest-host-key-unknown',
  'guest-host-key-changed',
  'guest-certificate-unknown',
  'guest-certificate-changed',
])

/** What this way in lacks; another one may have it. */
const LACKS: ReadonlySet<string> = new Set([
  'guest-credentials-unfit',
  'vcenter-permission',
  'vcenter-unsupported',
  'guest-elevation-refused',
  'host-certificate',
])

/** @returns null for an error that is not the guest's: vCenter is away, or the code is broken */
export function outcomeOfDoor(error: unknown): Exclude<ChannelAttempt['outcome'], 'opened'> | null {
  if (isAbort(error)) return 'unreachable'
  if (!(error instanceof BackupError)) return null
  if (REFUSALS.has(error.code)) return 'refused'
  if (LACKS.has(error.code)) return 'impossible'
  return error.code.startsWith('guest-') || TOOLS_FAULTS.has(error.code) ? 'unreachable' : null
}

/** What vCenter, or the host that takes files for a guest, answers to guest operations that it knows no better word for. */
const TOOLS_FAULTS: ReadonlySet<string> = new Set([
  'vcenter-fault',
  'vcenter-http-status',
  'vcenter-object-gone',
  'vcenter-reply-malformed',
])

/** The guest may know a newer password or key than the one that was read. */
export function isStaleAccount(error: unknown): boolean {
  return error instanceof BackupError && error.code === 'guest-login-refused'
}

/**
 * Whether guest processing failed, by the guest, its scripts, its account, or its host's certificate. Others (vCenter is away) fail
 * the stage, which is tried again.
 */
export function isGuestFault(error: unknown): boolean {
  if (isAbort(error)) return true
  if (!(error instanceof BackupError)) return false
  return /^(guest|script|secret|credentials)-/.test(error.code) || LACKS.has(error.code) || TOOLS_FAULTS.has(error.code)
}
