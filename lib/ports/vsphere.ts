// vCenter as the stages need it. No code. Every call may throw BackupError with the codes of lib/adapters/vsphere.

import type { Cancel } from '../base/time-limit.ts'
import type { ReadLatency } from '../model/admission.ts'
import type { AlarmEvent } from '../model/alarm-event.ts'
import type { Extent } from '../model/extent.ts'
import type { GuestFamily } from '../model/guest.ts'
import type { Moref } from '../model/ids.ts'
import type { Quiesce } from '../model/quiesce.ts'
import type { DatastoreState, HostState } from '../model/site.ts'
import type { SnapshotGrowth } from '../model/snapshot-growth.ts'
import type { SnapshotState, VmConfig, VmState, VmSummary } from '../model/vm.ts'
import type { VmSurvey } from '../model/vm-survey.ts'
import type { VmTask } from '../model/vm-task.ts'
import type { GuestChannel } from './guest.ts'

export type { Quiesce }

/** One reply of QueryChangedDiskAreas: what changed between startOffset and startOffset + length. */
export type ChangedAreas = {
  readonly startOffset: number
  readonly length: number
  readonly areas: readonly Extent[]
}

/** Whether the account of the session has these privileges on this object. */
export type PrivilegeQuestion = {
  readonly entity:
    | { readonly kind: 'vm' | 'datastore' | 'host'; readonly moref: Moref }
    /** vCenter's root folder. */
    | { readonly kind: 'root' }
  readonly ids: readonly string[]
}

/** Opens sessions of one vCenter; a stage opens its own and closes it. */
export interface Vsphere {
  /**
   * Logs in.
   * @throws BackupError `vcenter-unreachable`, `vcenter-thumbprint` (both fingerprints named), `vcenter-login`
   */
  open(cancel: Cancel): Promise<VsphereSession>
}

export interface VsphereSession extends AsyncDisposable {
  /** AboutInfo: instanceUuid tells vCenters apart; null where the server has none (a lone ESXi host). */
  readonly about: {
    readonly fullName: string
    readonly apiVersion: string
    readonly instanceUuid: string | null
  }
  listVms(cancel: Cancel): Promise<readonly VmSummary[]>
  /** The snapshots of every VM and whether its disks are at rest, in one listing. A VM that vCenter cannot read is not in it. */
  surveySnapshots(cancel: Cancel): Promise<readonly VmSurvey[]>
  /** @throws BackupError `vm-not-found` when the reference does not exist (ManagedObjectNotFound) */
  readVm(vm: Moref, cancel: Cancel): Promise<VmState>
  /** @throws BackupError `snapshot-not-found` */
  readSnapshot(snapshot: Moref, cancel: Cancel): Promise<SnapshotState>
  /**
   * Creates a snapshot without memory and waits for its task until the signal ends it. When the task's fate stays unknown the tree
   * must be searched by name.
   * @throws BackupError `snapshot-quiesce-failed` (ApplicationQuiesceFault, FilesystemQuiesceFault), `snapshot-failed`: retry 'later' is one
   * more attempt of the job, since each may stun the VM
   */
  createSnapshot(
    request: { readonly vm: Moref; readonly name: string; readonly description: string; readonly quiesce: Quiesce },
    cancel: Cancel,
  ): Promise<Moref>
  /** Starts RemoveSnapshot_Task(removeChildren=false, consolidate=true) and waits; an absent snapshot is `snapshot-not-found`. */
  removeSnapshot(snapshot: Moref, cancel: Cancel): Promise<void>
  /** Starts RemoveAllSnapshots_Task(consolidate=true) and waits: whosever they are. Only for a tree that the caller knows to be its own. */
  removeAllSnapshots(vm: Moref, cancel: Cancel): Promise<void>
  /**
   * How much the layers above a snapshot hold by now, and how full their datastores are.
   * @throws BackupError `vm-not-found`
   */
  readSnapshotGrowth(request: { readonly vm: Moref; readonly snapshot: Moref }, cancel: Cancel): Promise<SnapshotGrowth>
  /** Starts ConsolidateVMDisks_Task and waits. */
  consolidate(vm: Moref, cancel: Cancel): Promise<void>
  /** ReconfigVM_Task(changeTrackingEnabled); the caller does the stun cycle. */
  setChangeTracking(request: { readonly vm: Moref; readonly enabled: boolean }, cancel: Cancel): Promise<void>
  /**
   * QueryChangedDiskAreas once; the loop is the caller's.
   * @throws BackupError `cbt-unavailable` (FileFault, InvalidArgument, MethodNotFound, NotSupported), retry 'as-full'
   */
  changedAreas(
    query: {
      readonly vm: Moref
      readonly snapshot: Moref
      readonly deviceKey: number
      readonly startOffset: number
      readonly changeId: string
    },
    cancel: Cancel,
  ): Promise<ChangedAreas>
  /** Hardware, .vmx and .nvram of the VM as it is at this snapshot. */
  captureConfig(request: { readonly vm: Moref; readonly snapshot: Moref }, cancel: Cancel): Promise<VmConfig>
  /**
   * Creates an equivalent, powered-off VM with blank disks from a captured config: firmware, controllers, NICs, NVRAM, extra config.
   * What cannot be recreated is listed in `missing`.
   */
  createVm(
    request: {
      readonly config: VmConfig
      readonly name: string
      readonly datacenter: string
      readonly cluster: string
      readonly datastore: string
    },
    cancel: Cancel,
  ): Promise<{ readonly vm: Moref; readonly missing: readonly string[] }>
  /**
   * Opens the VMware Tools channel: validates the credentials in the guest. It lives as long as the session.
   * @throws BackupError `guest-unreachable` (Tools not running, guest operations not ready), `guest-login-refused`,
   * `vcenter-permission` when the vCenter account may not do guest operations
   */
  openGuest(
    request: { readonly vm: Moref; readonly family: GuestFamily; readonly user: string; readonly password: string },
    cancel: Cancel,
  ): Promise<GuestChannel>
  /**
   * The VSS manifest that VMware Tools wrote for a snapshot (vss_manifests<n>.zip).
   * @param request.manifest VmSnapshot.backupManifest
   * @throws BackupError when it cannot be read, is larger than bytesMax, or is no manifest (`vss-manifest-malformed`)
   */
  readVssManifest(
    request: { readonly vm: Moref; readonly manifest: string; readonly bytesMax: number },
    cancel: Cancel,
  ): Promise<{
    readonly bytes: Uint8Array
    /** Names of the VSS writers in it, each once, ascending. */
    readonly writers: readonly string[]
  }>
  /**
   * Takes disks of another VM from a VM that hot-added them (isHotAdded); nothing is deleted. Those of the VM's own are not meant:
   * never call it with the files of this VM itself.
   * @returns the files of the disks that were taken; empty when there are none
   * @throws BackupError `vm-not-found`, `hot-disk-attached` when one is still there
   */
  detachDisks(
    request: { readonly vm: Moref; readonly files: readonly string[] },
    cancel: Cancel,
  ): Promise<readonly string[]>
  /** The server's own clock, ISO 8601 UTC. */
  currentTime(cancel: Cancel): Promise<string>
  /** @throws BackupError `host-not-found`, `vcenter-permission` */
  readHost(host: Moref, cancel: Cancel): Promise<HostState>
  /** Every datastore that holds files of the VM. @throws BackupError `vm-not-found`, `vcenter-permission` */
  readDatastores(vm: Moref, cancel: Cancel): Promise<readonly DatastoreState[]>
  /**
   * How long a read from each of these datastores takes on this host now (datastore.totalReadLatency, average of 20 s), in the
   * order of the question. Null where the server does not say, as for vSAN and vVols: unknown is not zero.
   */
  readLatency(
    query: { readonly host: Moref; readonly datastores: readonly DatastoreState[] },
    cancel: Cancel,
  ): Promise<readonly ReadLatency[]>
  /**
   * The privileges that are not granted, in the order of the question; one that the server does not know is among them.
   * @throws BackupError `vcenter-unsupported` where the server does not tell, `vcenter-object-gone`, `vcenter-permission` when the
   * object may not even be seen
   */
  missingPrivileges(question: PrivilegeQuestion, cancel: Cancel): Promise<readonly string[]>
  /**
   * Changes of alarms since a time of the server's own clock (the time itself included), oldest first, `limit` at most; those whose keys
   * are known are left out and count for nothing. Empty where the server has no event log.
   */
  readAlarmEvents(
    query: { readonly since: string; readonly known: ReadonlySet<number>; readonly limit: number },
    cancel: Cancel,
  ): Promise<readonly AlarmEvent[]>
  /** Tasks that are queued or run on this VM now, whoever started them. */
  runningTasks(vm: Moref, cancel: Cancel): Promise<readonly VmTask[]>
}
