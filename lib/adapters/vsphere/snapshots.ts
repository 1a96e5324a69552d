// Snapshots, consolidation and changed block tracking: the calls, and what their faults mean for a backup.

import { assert, BackupError, hasCode } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Moref } from '../../model/ids.ts'
import type { ChangedAreas, Quiesce } from '../../ports/vsphere.ts'
import { faultNameOf } from './faults.ts'
import { type Call, retryReading, type VimSession } from './session.ts'
import { runTask } from './tasks.ts'
import { isRecord, isRef, needed, numberAt, record, recordsAt, ref, replyMalformed, typed } from './values.ts'
import { notFound } from './vm-state.ts'

export type SnapshotRequest = {
  readonly vm: Moref
  readonly name: string
  readonly description: string
  readonly quiesce: Quiesce
}

/** QueryChangedDiskAreas reads the disk's whole change map: minutes on large disks. */
const CHANGED_AREAS_LIMIT_MS = 10 * 60_000

const quiesceFaults = new Set(['ApplicationQuiesceFault', 'FilesystemQuiesceFault'])
/**
 * What servers answer of a snapshot that failed this time and may be made the next (VirtualMachine.createSnapshot and its faults' bases): the
 * VM changed its state, a file could not be had, or no cause is given. Others say what is so for good: SnapshotDisabled, TooManySnapshotLevels,
 * NotSupported, InvalidName, InsufficientResourcesFault, NoDiskSpace and the like.
 */
const doubtfulFaults = new Set([
  'CannotAccessFile',
  'FileFault',
  'GenericVmConfigFault',
  'InvalidPowerState',
  'InvalidState',
  'SnapshotFault',
  'VmConfigFault',
])
/** What servers answer when changes cannot be asked, or not from this change id. */
const changedAreaFaults = new Set([
  'FileFault',
  'InvalidArgument',
  'MethodNotFound',
  'NotSupported',
  'NotFound',
  'InvalidRequest',
])

export async function createSnapshot(session: VimSession, request: SnapshotRequest, cancel: Cancel): Promise<Moref> {
  try {
    const result = await runTask(session, snapshotCall(request), cancel)
    if (result !== null && isRef(result)) return result.value
    throw replyMalformed('the snapshot task gives no snapshot')
  } catch (error) {
    throw snapshotFailure(error, request)
  }
}

/** @throws BackupError `snapshot-not-found`; others as tasks throw them */
export async function removeSnapshot(session: VimSession, snapshot: Moref, cancel: Cancel): Promise<void> {
  const what = `Cannot remove the snapshot "${snapshot}"`
  const target = ref('VirtualMachineSnapshot', snapshot)
  try {
    await runTask(
      session,
      { method: 'RemoveSnapshot_Task', target, args: { removeChildren: false, consolidate: true }, what },
      cancel,
    )
  } catch (error) {
    throw hasCode(error, 'vcenter-object-gone') ? notFound('snapshot-not-found', { what, error }) : error
  }
}

export async function removeAllSnapshots(session: VimSession, vm: Moref, cancel: Cancel): Promise<void> {
  const what = `Cannot remove the snapshots of VM "${vm}"`
  const target = ref('VirtualMachine', vm)
  await runTask(session, { method: 'RemoveAllSnapshots_Task', target, args: { consolidate: true }, what }, cancel)
}

export async function consolidate(session: VimSession, vm: Moref, cancel: Cancel): Promise<void> {
  const what = `Cannot consolidate the disks of VM "${vm}"`
  await runTask(session, { method: 'ConsolidateVMDisks_Task', target: ref('VirtualMachine', vm), what }, cancel)
}

export async function setChangeTracking(
  session: VimSession,
  { vm, enabled }: { readonly vm: Moref; readonly enabled: boolean },
  cancel: Cancel,
): Promise<void> {
  const what = `Cannot switch changed block tracking of VM "${vm}" ${enabled ? 'on' : 'off'}`
  const spec = record({ changeTrackingEnabled: enabled })
  await runTask(session, { method: 'ReconfigVM_Task', target: ref('VirtualMachine', vm), args: { spec }, what }, cancel)
}

/** @throws BackupError `cbt-unavailable`, retry 'as-full' */
export async function readChangedAreas(
  session: VimSession,
  query: {
    readonly vm: Moref
    readonly snapshot: Moref
    readonly deviceKey: number
    readonly startOffset: number
    readonly changeId: string
  },
  cancel: Cancel,
): Promise<ChangedAreas> {
  const { vm, deviceKey, startOffset, changeId } = query
  const what = `Cannot list changes of disk ${deviceKey} of VM "${vm}" since "${changeId}" from byte ${startOffset}`
  const call: Call = {
    method: 'QueryChangedDiskAreas',
    target: ref('VirtualMachine', vm),
    args: { snapshot: ref('VirtualMachineSnapshot', query.snapshot), deviceKey, startOffset, changeId },
    what,
    limitMs: CHANGED_AREAS_LIMIT_MS,
  }
  try {
    const ask = () => session.loggedIn(() => session.call(call, cancel), cancel)
    const reply = await retryReading(session.settings, ask, cancel)
    if (reply === null || !isRecord(reply)) throw replyMalformed('it has no changed areas')
    return {
      startOffset: needed(numberAt(reply, 'startOffset'), 'startOffset'),
      length: needed(numberAt(reply, 'length'), 'length'),
      areas: recordsAt(reply, 'changedArea').map((area) => ({
        offsetBytes: needed(numberAt(area, 'start'), 'start'),
        lengthBytes: needed(numberAt(area, 'length'), 'length'),
      })),
    }
  } catch (error) {
    const fault = faultNameOf(error)
    if (fault === null || !changedAreaFaults.has(fault)) throw error
    throw new BackupError(`${what}: vCenter answers ${fault}`, {
      code: 'cbt-unavailable',
      retry: 'as-full',
      hint: 'The disk is read whole; only what differs is stored',
      facts: { fault, vm, deviceKey, changeId },
      cause: error,
    })
  }
}

function snapshotCall({ vm, name, description, quiesce }: SnapshotRequest): Call {
  const target = ref('VirtualMachine', vm)
  const what = `Cannot create the snapshot "${name}" of VM "${vm}"`
  if (quiesce.kind !== 'windows') {
    const args = { name, description, memory: false, quiesce: quiesce.kind === 'tools' }
    return { method: 'CreateSnapshot_Task', target, args, what }
  }
  const { timeoutMinutes: timeout } = quiesce
  assert(Number.isInteger(timeout) && timeout >= 5 && timeout <= 240, 'a time limit for VSS is 5 to 240 minutes')
  const quiesceSpec = typed('VirtualMachineWindowsQuiesceSpec', {
    timeout,
    // VSS_BACKUP_TYPE (Microsoft, vss.h): VSS_BT_FULL is 1, VSS_BT_COPY is 5; a copy leaves logs alone.
    vssBackupType: quiesce.backupType === 'full' ? 1 : 5,
    vssBootableSystemState: true,
    vssPartialFileSupport: false,
    vssBackupContext: quiesce.context,
  })
  return { method: 'CreateSnapshotEx_Task', target, args: { name, description, memory: false, quiesceSpec }, what }
}

/**
 * What passes by itself (somebody's task, a locked file, a host that is away) is told as it is: it is waited for. All else is
 * `snapshot-failed`, retry 'later' where another attempt may succeed.
 * A server without CreateSnapshotEx_Task (before vSphere 6.5) cannot quiesce this way: the caller's next step is another way.
 */
export function snapshotFailure<Thrown>(
  error: Thrown,
  { vm, quiesce }: Pick<SnapshotRequest, 'vm' | 'quiesce'>,
): Thrown | BackupError {
  const fault = faultNameOf(error)
  if (fault === null || !(error instanceof BackupError)) return error
  if (fault === 'NoPermission' || fault === 'NotAuthenticated' || fault === 'InvalidLogin') return error
  const quiesced =
    quiesceFaults.has(fault) || (quiesce.kind === 'windows' && (fault === 'MethodNotFound' || fault === 'NotSupported'))
  if (!quiesced && hasCode(error, 'vcenter-object-gone')) {
    return new BackupError(error.message, { code: 'vm-not-found', kind: 'not-found', facts: error.facts, cause: error })
  }
  if (!quiesced && error.retry === 'later') return error
  return new BackupError(error.message, {
    code: quiesced ? 'snapshot-quiesce-failed' : 'snapshot-failed',
    retry: quiesced || doubtfulFaults.has(fault) ? 'later' : error.retry,
    ...(quiesced
      ? { hint: "See the guest's event log or VMware Tools' log; the VSS writers or scripts there did not finish" }
      : {}),
    facts: { ...error.facts, vm },
    cause: error,
  })
}
