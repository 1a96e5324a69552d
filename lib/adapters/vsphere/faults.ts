// vSphere's faults as typed errors: the fault's API name in `facts.fault`, a code of ours, and what to do next.

import { BackupError, type ErrorKind, type Retry } from '../../base/errors.ts'
import { isRef, recordAt, textAt, type VimRecord } from './values.ts'

/** A fault by its API name, for example "FileFault". */
export type VimFault = { readonly name: string; readonly message: string; readonly detail: VimRecord | null }

/** `what` says what was tried, as in "Cannot create a snapshot of vm-5". */
export type FaultContext = { readonly what: string; readonly method: string }

type Meaning = { readonly code: string; readonly kind: ErrorKind; readonly retry: Retry; readonly hint?: string }

const meanings: Readonly<Record<string, Meaning>> = {
  NotAuthenticated: {
    code: 'vcenter-not-authenticated',
    kind: 'refused',
    retry: 'later',
    hint: 'The session ended; log in again',
  },
  InvalidLogin: {
    code: 'vcenter-login',
    kind: 'refused',
    retry: 'no',
    hint: 'Check user name (with its domain, as in user@vsphere.local) and password; several failures may lock the account',
  },
  NoPermission: {
    code: 'vcenter-permission',
    kind: 'refused',
    retry: 'no',
    hint: 'Give the role of this user the named privilege on the named object',
  },
  ManagedObjectNotFound: { code: 'vcenter-object-gone', kind: 'not-found', retry: 'no' },
  DuplicateName: {
    code: 'vm-name-taken',
    kind: 'refused',
    retry: 'no',
    hint: 'Choose another name, or another folder',
  },
  MethodNotFound: {
    code: 'vcenter-unsupported',
    kind: 'refused',
    retry: 'no',
    hint: 'This server does not know this call',
  },
  NotSupported: { code: 'vcenter-unsupported', kind: 'refused', retry: 'no' },
}

/** Faults that pass by themselves: somebody else's task, a host that is away, a busy server. */
const passing = new Set([
  'TaskInProgress',
  'ConcurrentAccess',
  'ResourceInUse',
  'FileLocked',
  'HostCommunication',
  'HostNotConnected',
  'HostNotReachable',
  'InvalidHostConnectionState',
  'RequestCanceled',
  'SystemError',
  'Timedout',
  'TooManyConcurrentNativeClones',
])

export function faultError(fault: VimFault, { what, method }: FaultContext): BackupError {
  const meaning = meanings[fault.name] ?? {
    code: 'vcenter-fault',
    kind: 'failed',
    retry: passing.has(fault.name) ? 'later' : 'no',
  }
  return new BackupError(
    `${what}: vCenter answers ${fault.name}${fault.message === '' ? '' : ` ("${fault.message}")`}`,
    {
      code: meaning.code,
      kind: meaning.kind,
      retry: meaning.retry,
      ...(meaning.hint === undefined ? {} : { hint: meaning.hint }),
      facts: { fault: fault.name, method, ...detailFacts(fault.detail) },
    },
  )
}

/** A LocalizedMethodFault, as tasks and missing properties carry it. */
export function localizedFault(from: VimRecord | null): VimFault {
  const detail = recordAt(from, 'fault')
  return {
    name: detail?.type ?? 'MethodFault',
    message: textAt(from, 'localizedMessage') ?? '',
    detail,
  }
}

/** The API name of the fault an error came from; null for errors that are no faults. */
export function faultNameOf(error: unknown): string | null {
  const fault = error instanceof BackupError ? error.facts['fault'] : null
  return typeof fault === 'string' ? fault : null
}

function detailFacts(detail: VimRecord | null): Readonly<Record<string, string>> {
  const facts: Record<string, string> = {}
  for (const name of ['privilegeId', 'file', 'invalidProperty', 'faultMessage', 'reason']) {
    const value = detail?.fields.get(name)
    if (typeof value === 'string' || typeof value === 'number') facts[name] = String(value)
  }
  for (const name of ['object', 'obj']) {
    const value = detail?.fields.get(name)
    if (isRef(value)) facts['object'] = `${value.type}:${value.value}`
  }
  return facts
}
