// Calls of vCenter's guest operations on one VM as one account of its guest, with their faults translated.

import { BackupError, type BackupErrorOptions } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { GuestFamily } from '../../model/guest.ts'
import type { Moref } from '../../model/ids.ts'
import { faultNameOf } from './faults.ts'
import { readObject } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import { type Fields, isRef, type Ref, ref, typed, type VimValue } from './values.ts'

export type VixAccount = {
  readonly vm: Moref
  readonly family: GuestFamily
  readonly user: string
  readonly password: string
}

export type GuestCall = {
  readonly to: 'authManager' | 'fileManager' | 'processManager'
  readonly method: string
  /** Besides the VM and the account, which every call has. */
  readonly args: Fields
  /** Begins the message of an error: 'Cannot read "/etc/passwd" in the guest'. */
  readonly what: string
  /** Whether asking twice does no harm, and who does it after a lost connection. */
  readonly repeat: 'here' | 'caller' | 'never'
}

/** @throws BackupError with the codes of the channel, see GuestChannel */
export type GuestCalls = (call: GuestCall, cancel: Cancel) => Promise<VimValue | null>

const CALL_LIMIT_MS = 60_000
const receivers = ['authManager', 'fileManager', 'processManager'] as const

/** Reads who takes the calls; contacts no guest. */
export async function openGuestCalls(session: VimSession, account: VixAccount, cancel: Cancel): Promise<GuestCalls> {
  const targets = await readReceivers(session, account, cancel)
  const auth = typed('NamePasswordAuthentication', {
    interactiveSession: false,
    username: account.user,
    password: account.password,
  })
  const vm = ref('VirtualMachine', account.vm)
  return async ({ to, method, args, what, repeat }, callCancel) => {
    const call = { method, target: targets[to], args: { vm, auth, ...args }, what, limitMs: CALL_LIMIT_MS }
    const ask = () =>
      session.loggedIn(() => session.call({ ...call, changes: repeat === 'never' }, callCancel), callCancel)
    try {
      return await (repeat === 'here' ? retryReading(session.settings, ask, callCancel) : ask())
    } catch (error) {
      throw translated(error, { what, account })
    }
  }
}

async function readReceivers(
  session: VimSession,
  { vm }: VixAccount,
  cancel: Cancel,
): Promise<Readonly<Record<GuestCall['to'], Ref>>> {
  const what = `Cannot reach the guest of VM "${vm}" through VMware Tools`
  const { guestOperationsManager } = session.content
  if (guestOperationsManager === null) throw withoutOperations(what)
  const asked = { ref: guestOperationsManager, paths: receivers, what }
  const values = await retryReading(session.settings, () => readObject(session, asked, cancel), cancel)
  const [auth, file, process] = receivers.map((name) => values.get(name))
  if (!isRef(auth) || !isRef(file) || !isRef(process)) throw withoutOperations(what)
  return { authManager: auth, fileManager: file, processManager: process }
}

function withoutOperations(what: string): BackupError {
  return new BackupError(`${what}: this server has no guest operations`, {
    code: 'guest-unreachable',
    retry: 'later',
    hint: 'Guest operations need vCenter or ESXi 5.0 or later; let the policy use the network',
  })
}

type Meaning = Pick<BackupErrorOptions, 'code' | 'kind' | 'retry' | 'hint'> & { readonly reason: string }

const unreachable = (reason: string, hint: string): Meaning => ({
  code: 'guest-unreachable',
  retry: 'later',
  reason,
  hint,
})
const refusedLogin = (reason: string): Meaning => ({
  code: 'guest-login-refused',
  kind: 'refused',
  reason,
  hint: 'Check the account of the guest in the secret; over VMware Tools it is a name and a password of the guest itself',
})
const toolsHint = 'Check in vCenter that VMware Tools run in this VM, and start or update them'

/** What faults of guest operations mean (vSphere Web Services API: GuestOperationsFault and its kinds, FileFault). */
const meanings: Readonly<Record<string, Meaning>> = {
  InvalidGuestLogin: refusedLogin('the guest does not accept this name and password'),
  GuestAuthenticationChallenge: refusedLogin('the guest asks for a way to log in other than name and password'),
  GuestMultipleMappings: refusedLogin('the guest knows several accounts by this name'),
  TooManyGuestLogons: unreachable('too many users are logged in to the guest', 'Log others out, or try later'),
  GuestOperationsUnavailable: unreachable('VMware Tools are not ready for guest operations', toolsHint),
  OperationDisabledByGuest: unreachable(
    'the guest has this operation switched off',
    "See the guest's tools.conf: guestoperations.disabled and the settings beside it",
  ),
  OperationNotSupportedByGuest: unreachable('this guest does not know the operation', toolsHint),
  GuestComponentsOutOfDate: unreachable('VMware Tools are too old for this operation', toolsHint),
  InvalidPowerState: unreachable('the VM is not powered on', 'Power the VM on'),
  InvalidState: unreachable('the VM is in no state for guest operations', toolsHint),
  TaskInProgress: unreachable('another task of vCenter holds the VM', 'Try again when it is done'),
  MethodNotFound: unreachable('this server does not know the call', 'Let the policy use the network'),
  GuestPermissionDenied: {
    code: 'guest-path-refused',
    kind: 'refused',
    reason: 'the guest does not allow it to this account',
    hint: 'Give the account of the guest the right to it, or another account to the policy',
  },
  NotADirectory: { code: 'guest-path-missing', kind: 'not-found', reason: 'a part of the path is no directory' },
  FileNotFound: { code: 'guest-path-missing', kind: 'not-found', reason: 'there is no such file or directory' },
}

function translated(
  error: unknown,
  { what, account }: { readonly what: string; readonly account: VixAccount },
): unknown {
  const fault = faultNameOf(error)
  if (fault === null || !(error instanceof BackupError)) return error
  if (fault === 'NoPermission') {
    const privilege = error.facts['privilegeId'] ?? 'VirtualMachine.GuestOperations.Query, .Modify or .Execute'
    return new BackupError(`${what}: the vCenter user lacks the privilege "${String(privilege)}"`, {
      code: error.code,
      kind: error.kind,
      hint: 'Give the role of this user VirtualMachine.GuestOperations.Query, .Modify and .Execute on the VM',
      facts: { ...error.facts, vm: account.vm },
      cause: error,
    })
  }
  const meaning = meanings[fault]
  if (meaning === undefined) return error.code === 'vcenter-fault' ? unknownFault(error) : error
  const { reason, ...options } = meaning
  return new BackupError(`${what}: ${reason} (${fault})`, {
    ...options,
    facts: { fault, vm: account.vm, user: account.user },
    cause: error,
  })
}

/** Something went wrong in the guest, or with it: vCenter itself has answered. */
function unknownFault(error: BackupError): BackupError {
  const { kind, retry, facts, message } = error
  return new BackupError(message, { code: 'guest-operation-failed', kind, retry, facts, cause: error })
}
