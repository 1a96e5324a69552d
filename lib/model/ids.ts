// Every id of the domain: branded, parsed in one place, derived from content so that a repeated request finds its own.

import { createHash } from 'node:crypto'
import type { Brand } from '../base/brand.ts'
import { malformed } from '../base/errors.ts'

/** vSphere's managed object reference value, for example "vm-101": opaque, compared only. */
export type Moref = Brand<string, 'Moref'>
/** VirtualMachine.config.instanceUuid in lower case: our id of a VM, unique in a vCenter. */
export type VmId = Brand<string, 'VmId'>
/** 32 lower-case hex digits: hash of what started the run. */
export type RunId = Brand<string, 'RunId'>
/** 32 lower-case hex digits: hash of run and VM. */
export type JobId = Brand<string, 'JobId'>
/** "<jobId>-<attempt>": one try of a job's capture and transfer; also the repository's session. */
export type SessionId = Brand<string, 'SessionId'>
/** 32 lower-case hex digits: hash of what asked for a restore or a check. */
export type OperationId = Brand<string, 'OperationId'>
/** 32 lower-case hex digits: hash of what tells one alarm from every other. */
export type AlarmId = Brand<string, 'AlarmId'>
/** 32 lower-case hex digits: the random id of a sealed restore point. */
export type PointId = Brand<string, 'PointId'>
/** 32 lower-case hex digits: the random id of a pack. */
export type PackId = Brand<string, 'PackId'>
/** A policy's name: 1 to 64 of a-z, 0-9, '-', starting with a letter or digit. */
export type PolicyName = Brand<string, 'PolicyName'>

export function parseMoref(text: string): Moref {
  if (!/^[\x21-\x7e]{1,250}$/.test(text))
    throw malformed('managed object reference', text, 'must be 1 to 250 printable characters')
  return text as Moref
}

export function parseVmId(text: string): VmId {
  const lower = text.toLowerCase()
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(lower))
    throw malformed('VM instance uuid', text, 'must be a uuid')
  return lower as VmId
}

export function parseRunId(text: string): RunId {
  return hexId(text, { what: 'run id', digits: 32 }) as RunId
}

export function parseJobId(text: string): JobId {
  return hexId(text, { what: 'job id', digits: 32 }) as JobId
}

export function parseSessionId(text: string): SessionId {
  if (!/^[0-9a-f]{32}-[1-9][0-9]{0,3}$/.test(text))
    throw malformed('session id', text, 'must be a job id, "-" and the attempt')
  return text as SessionId
}

export function parseOperationId(text: string): OperationId {
  return hexId(text, { what: 'operation id', digits: 32 }) as OperationId
}

export function parseAlarmId(text: string): AlarmId {
  return hexId(text, { what: 'alarm id', digits: 32 }) as AlarmId
}

export function parsePointId(text: string): PointId {
  return hexId(text, { what: 'point id', digits: 32 }) as PointId
}

export function parsePackId(text: string): PackId {
  return hexId(text, { what: 'pack id', digits: 32 }) as PackId
}

export function isPolicyName(text: string): text is PolicyName {
  return /^[a-z0-9][a-z0-9-]{0,63}$/.test(text)
}

export function parsePolicyName(text: string): PolicyName {
  if (!isPolicyName(text)) {
    throw malformed('policy name', text, 'must be 1 to 64 of a-z, 0-9 and "-", starting with a letter or digit')
  }
  return text
}

/** The run of a policy and its scheduled time, or of an idempotency or event key: the same cause gives the same run. */
export function runIdOf(cause: { readonly policy: PolicyName; readonly key: string }): RunId {
  return parseRunId(digest(['run', cause.policy, cause.key]))
}

/** The run that a caller of the API asked for under a key of its own, whatever it asked for. */
export function apiRunIdOf(cause: { readonly caller: string; readonly key: string }): RunId {
  return parseRunId(digest(['run', 'api', cause.caller, cause.key]))
}

export function jobIdOf(run: RunId, vm: VmId): JobId {
  return parseJobId(digest(['job', run, vm]))
}

/** The same request with the same key is the same operation. */
export function operationIdOf(cause: { readonly kind: string; readonly key: string }): OperationId {
  return parseOperationId(digest(['operation', cause.kind, cause.key]))
}

/** @param key whatever the source repeats when it sends an alarm again */
export function alarmIdOf(cause: { readonly source: string; readonly key: string }): AlarmId {
  return parseAlarmId(digest(['alarm', cause.source, cause.key]))
}

export function sessionIdOf(job: JobId, attempt: number): SessionId {
  return parseSessionId(`${job}-${attempt}`)
}

/** Why a snapshot of ours exists: to be backed up, or for the stun cycle that makes changed block tracking real. */
export type SnapshotPurpose = 'backup' | 'stun'

/** The one form of our snapshots' names; what does not parse is not ours. */
export function snapshotNameOf(owner: {
  readonly job: JobId
  readonly purpose: SnapshotPurpose
  readonly attempt: number
}): string {
  return `coldframe-${owner.job}-${owner.purpose}-${owner.attempt}`
}

/** @returns null for a foreign snapshot's name */
export function parseSnapshotName(
  name: string,
): { readonly job: JobId; readonly purpose: SnapshotPurpose; readonly attempt: number } | null {
  const match = /^coldframe-([0-9a-f]{32})-(backup|stun)-([1-9][0-9]{0,3})$/.exec(name)
  if (match === null) return null
  const [, job = '', purpose, attempt] = match
  return { job: parseJobId(job), purpose: purpose === 'stun' ? 'stun' : 'backup', attempt: Number(attempt) }
}

function hexId(text: string, form: { readonly what: string; readonly digits: number }): string {
  if (text.length !== form.digits || !/^[0-9a-f]+$/.test(text)) {
    throw malformed(form.what, text, `must be ${form.digits} lower-case hex digits`)
  }
  return text
}

function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)
}
