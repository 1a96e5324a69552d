// What the simulated vCenter's front asks of its simulated hardware. Morefs, XML and HTTP are not known here.

import type { GuestSystem } from '../guest/types.ts'

/** A vSphere fault by its API name ('FileFault', 'InvalidArgument', …), raised by the machine, sent by the front. */
export class SimFault extends Error {
  readonly fault: string
  readonly properties: Readonly<Record<string, string | number | boolean>>

  constructor(fault: string, message: string, properties: Readonly<Record<string, string | number | boolean>> = {}) {
    super(message)
    this.fault = fault
    this.properties = properties
  }
}

export type DiskMode = 'persistent' | 'nonpersistent' | 'independent_persistent' | 'independent_nonpersistent'

/** One file of a disk's chain. Paths are datastore paths, e.g. "[ds1] web-01/web-01.vmdk". */
export interface SimLayer {
  readonly descriptorPath: string
  /** The data file: "[ds1] web-01/web-01-flat.vmdk" for a base, "…-000001-delta.vmdk" for a delta. */
  readonly extentPath: string
  /** ddb.uuid as backing.uuid prints it ("6000C29a-…"); the same for every layer of one disk. */
  readonly uuid: string
  /** The descriptor's CID: eight hex digits. */
  readonly contentId: string
  /** False for the layer that a running VM writes: /folder refuses it. */
  readonly frozen: boolean
  /** Whether reading the extent gives the plain disk (a base), not a delta's own format. */
  readonly flat: boolean
}

/** The plain bytes of a disk as of one layer. */
export type SimContent = {
  read(range: { readonly offsetBytes: number; readonly target: Uint8Array }): void
  /** Whether a grain of 64 KiB was ever written, by number. */
  allocated(grain: number): boolean
}

export interface SimDisk {
  /** VirtualDevice.key, from 2000. */
  readonly deviceKey: number
  readonly label: string
  readonly controllerKey: number
  readonly unitNumber: number
  readonly capacityBytes: number
  readonly mode: DiskMode
  readonly rdm: 'physicalMode' | 'virtualMode' | null
  readonly thin: boolean
  readonly datastore: string
  /** Base first, active layer last. */
  chain(): readonly SimLayer[]
  /** Of the active layer, as it is whenever it is read. */
  readonly content: SimContent
  /** The live backing's changeId: what a snapshot taken now would carry; null while tracking is not active. */
  readonly changeId: string | null
}

/** A disk of a snapshot's config. Disks that snapshots leave alone (independent, physical RDM) are in `leftOut`. */
export type SimSnapshotDisk = Omit<SimDisk, 'chain' | 'changeId' | 'content'> & {
  readonly content: SimContent
  /** The frozen layer that the snapshot's config points at, and its ancestors' paths, base first. */
  readonly chain: readonly SimLayer[]
  /** Null when changed block tracking was not active on this disk at that moment. */
  readonly changeId: string | null
}

export interface SimSnapshot {
  /** Counts up per VM from 1, as VirtualMachineSnapshotTree.id does. */
  readonly id: number
  readonly name: string
  readonly description: string
  readonly createdMs: number
  /** From when on the machine's tree shows it. */
  readonly listedFromMs: number
  readonly quiesced: boolean
  readonly parent: SimSnapshot | null
  readonly children: readonly SimSnapshot[]
  readonly disks: readonly SimSnapshotDisk[]
  /** The disks that were present and that snapshots do not cover, as they are now. */
  readonly leftOut: readonly SimDisk[]
  /** The machine's config as it was: reconfiguring the VM does not change it. */
  readonly config: SimConfig
  /** VirtualMachineSnapshotTree.backupManifest. */
  readonly backupManifest: string | null
}

export type SimNic = {
  readonly deviceKey: number
  readonly type: 'VirtualVmxnet3' | 'VirtualE1000e'
  readonly macAddress: string
  readonly network: string
  readonly connected: boolean
}

/** A network card as Tools report it; those that only the guest knows have no network and the device key -1. */
export type SimGuestNic = {
  readonly network: string | null
  readonly macAddress: string
  readonly connected: boolean
  readonly deviceKey: number
  /** IPv4 and IPv6. */
  readonly addresses: readonly string[]
}

export type SimController = {
  readonly deviceKey: number
  readonly type: 'ParaVirtualSCSIController' | 'VirtualLsiLogicController' | 'VirtualAHCIController'
  readonly busNumber: number
}

export type SimConfig = {
  readonly name: string
  readonly instanceUuid: string
  readonly biosUuid: string
  readonly version: string
  readonly guestId: string
  readonly guestFullName: string
  readonly firmware: 'bios' | 'efi'
  readonly secureBoot: boolean
  readonly cpus: number
  readonly coresPerSocket: number
  readonly memoryMB: number
  readonly annotation: string
  readonly template: boolean
  /** The .vmx file, e.g. "[ds1] web-01/web-01.vmx"; the nvram file (a bare name) lies beside it. */
  readonly vmPathName: string
  readonly nvramFile: string
  readonly extraConfig: Readonly<Record<string, string>>
  readonly controllers: readonly SimController[]
  readonly nics: readonly SimNic[]
}

/** What ReconfigVM_Task may change of the config itself; a key of extraConfig set to '' is removed. */
export type SimConfigChanges = Partial<
  Pick<
    SimConfig,
    | 'name'
    | 'guestId'
    | 'guestFullName'
    | 'cpus'
    | 'coresPerSocket'
    | 'memoryMB'
    | 'annotation'
    | 'extraConfig'
    | 'vmPathName'
  >
>

export type QuiesceWish =
  | { readonly kind: 'none' }
  | { readonly kind: 'tools' }
  | {
      readonly kind: 'windows'
      /** 5 to 240. */
      readonly timeoutMinutes: number
      readonly context: 'ctx_auto' | 'ctx_backup' | 'ctx_file_share_backup'
      /** VSS_BACKUP_TYPE: 1 full, 5 copy. */
      readonly backupType: number
    }

export type SnapshotWish = { readonly name: string; readonly description: string; readonly quiesce: QuiesceWish }

export type ChangedAreas = {
  readonly startOffset: number
  readonly length: number
  readonly changedArea: readonly { readonly start: number; readonly length: number }[]
}

/**
 * A virtual machine: hardware, guest, disks and snapshots. Methods throw SimFault with the API's fault name:
 * InvalidPowerState, InvalidArgument (property invalidProperty), FileFault (property file), ApplicationQuiesceFault,
 * FilesystemQuiesceFault, NotFound, InvalidSnapshotState.
 */
export interface SimMachine {
  readonly config: SimConfig
  readonly disks: readonly SimDisk[]
  readonly powerState: 'poweredOn' | 'poweredOff' | 'suspended'
  readonly tools: {
    readonly state: 'running' | 'old' | 'notRunning' | 'notInstalled'
    /** The guest itself refuses guest operations. */
    readonly operationsDisabled: boolean
  }
  readonly toolsRunning: boolean
  /** Empty while Tools do not run. */
  readonly guestNics: readonly SimGuestNic[]
  readonly hostName: string
  /** Null: what is inside the guest is not simulated, and guest operations are unavailable. */
  readonly system: GuestSystem | null
  /** config.changeTrackingEnabled; tracking is real per disk only after the next stun. */
  readonly changeTrackingEnabled: boolean
  /** Milliseconds since 1970 of the last power-on; null when powered off. */
  readonly bootedMs: number | null
  readonly consolidationNeeded: boolean
  readonly rootSnapshots: readonly SimSnapshot[]
  readonly currentSnapshot: SimSnapshot | null

  powerOn(): void
  powerOff(): void
  /**
   * Powered off without snapshots, tracking is real at once. Otherwise it is from the end of the next stun on: the
   * snapshot that is made in that stun has no changeId yet, the next one has.
   */
  setChangeTracking(enabled: boolean): void
  reconfigure(changes: SimConfigChanges): void
  /** Adds a disk (zeroed) or removes one; false when the key is unknown. */
  addDisk(options: { readonly capacityBytes: number; readonly thin: boolean; readonly datastore: string }): SimDisk
  removeDisk(deviceKey: number): boolean
  /** Makes a disk larger, by zeros; throws SimFault when it has snapshots or would shrink; false when the key is unknown. */
  growDisk(deviceKey: number, capacityBytes: number): boolean
  /** The instant of the cut: the guest's writes before it are in, those after are not. */
  createSnapshot(options: SnapshotWish): SimSnapshot
  /** createSnapshot() with the time that quiescing takes before and after the cut. */
  takeSnapshot(options: SnapshotWish, cancel: { readonly signal: AbortSignal }): Promise<SimSnapshot>
  removeSnapshot(
    snapshot: SimSnapshot,
    options: { readonly removeChildren: boolean; readonly consolidate: boolean },
  ): void
  removeAllSnapshots(): void
  revertTo(snapshot: SimSnapshot): void
  consolidate(): void
  changedAreas(query: {
    /** Null: the powered-off VM itself. */
    readonly snapshot: SimSnapshot | null
    readonly deviceKey: number
    readonly startOffset: number
    readonly changeId: string
  }): ChangedAreas
}

/** A file below /folder: an extent, a descriptor, a .vmx, a .nvram. */
export interface SimFile {
  readonly sizeBytes: number
  /** Throws SimFault FileLocked when a running VM writes this file. */
  read(range: { readonly offsetBytes: number; readonly target: Uint8Array }): void
  /** Whether write() works: the flat extent of a base that nothing was snapshotted over, of a machine that is off. */
  readonly writable: boolean
  /** Throws SimFault FileLocked when the file is not writable now. */
  write(range: { readonly offsetBytes: number; readonly bytes: Uint8Array }): void
}

/** `missed`: so many of the newest samples could not be taken. */
export type SimReadLatency = { readonly readMs: number; readonly missed: number }

export interface SimDatastore {
  readonly name: string
  readonly type: 'VMFS' | 'NFS' | 'vsan'
  readonly capacityBytes: number
  /** What hosts measure of its reads, all the same; null: they do not count them. */
  readonly readLatency: SimReadLatency | null
  freeBytes(): number
  /** By path inside the datastore, e.g. "web-01/web-01-flat.vmdk"; null when there is no such file. */
  file(path: string): SimFile | null
  /** Every path that file() knows now, ascending. */
  paths(): readonly string[]
  /** Writes a whole small file (an upload below /folder). */
  store(path: string, bytes: Uint8Array): void
}

/** Where a machine stands in the inventory; names are unique inside their parent only. */
export type SimPlace = {
  readonly datacenter: string
  /** Folder names below the datacenter's vm folder, outermost first. */
  readonly folders: readonly string[]
  readonly cluster: string
  readonly host: string
  /** "Resources" is the cluster's root pool. */
  readonly resourcePool: string
  /** "category/tag" */
  readonly tags: readonly string[]
}

export type SimAlarmEvent = { readonly key: number; readonly atMs: number; readonly machine: SimMachine } & Readonly<
  Record<'alarmName' | 'from' | 'to', string>
>

export interface SimEstate {
  readonly seed: number
  readonly datacenters: readonly {
    readonly name: string
    readonly folders: readonly (readonly string[])[]
    readonly clusters: readonly {
      readonly name: string
      readonly hosts: readonly string[]
      readonly resourcePools: readonly string[]
    }[]
    readonly networks: readonly string[]
  }[]
  readonly datastores: readonly SimDatastore[]
  /** What was in use at once of what vSphere bounds. */
  readonly peaks: {
    read(part: { readonly host: string; readonly lengthBytes: number }): Disposable
    countSnapshots(machines: readonly { readonly machine: SimMachine; readonly place: SimPlace }[]): void
  }
  /** Changes of alarms of machines, in the order of their happening. */
  readonly alarms: { events(): readonly SimAlarmEvent[] }
  /** What machines have attached of others' disks. */
  readonly attached: {
    of(machine: SimMachine): readonly (Omit<SimDisk, 'chain' | 'changeId' | 'content'> & {
      readonly layers: readonly SimLayer[]
      readonly changeId: null
    })[]
    detach(machine: SimMachine, deviceKey: number): boolean
    /** Whoever has files of this machine attached, which locks them. */
    holderOf(machine: SimMachine): SimMachine | null
  }
  machines(): readonly { readonly machine: SimMachine; readonly place: SimPlace }[]
  /** Lets a machine run on another host of its cluster, and moves its files to another datastore; throws SimFault. */
  relocateMachine(machine: SimMachine, target: SimTarget): void
  /** Tells how tasks are begun and ended that nobody asked this server for. */
  onForeignTasks(tasks: SimForeignTasks): void
  /** Removes a powered-off machine and its files. */
  destroyMachine(machine: SimMachine): void
  /** Creates a powered-off machine with blank disks; a caller then writes its disks through its datastore. */
  createMachine(options: {
    readonly config: SimConfig
    readonly place: SimPlace
    readonly disks: readonly {
      readonly capacityBytes: number
      readonly thin: boolean
      readonly controllerKey: number
      readonly unitNumber: number
    }[]
    readonly nvram: Uint8Array | null
  }): SimMachine
}

/** `changeTracking`: whether a move of the files keeps the change ids or begins them anew. Null: as it is. */
export type SimTarget = {
  readonly host: string | null
  readonly datastore: string | null
  readonly changeTracking: 'kept' | 'reset'
}

export type SimForeignTasks = {
  start(task: SimForeignTask): void
  /** Cancels every task on a machine that can be cancelled. */
  end(machine: SimMachine): void
}

/** A task of another product on a machine. */
export type SimForeignTask = { readonly machine: SimMachine; readonly name: string; readonly durationMs: number }

/** Faults by call and by chance, read from a scenario file; the same seed gives the same faults. */
export interface SimScenario {
  /** Asked before a method is carried out, with its API name ('CreateSnapshot_Task', '/folder', …). Null: go on. */
  faultBefore(call: string): SimMishap | null
}

export type SimMishap =
  /** `properties`: the fault's own data, as {"invalidProperty": "startOffset"}. */
  | {
      readonly kind: 'fault'
      readonly fault: string
      readonly message: string
      readonly properties?: SimFault['properties']
    }
  /** The task, if the call makes one, starts and then fails. */
  | { readonly kind: 'task-fault'; readonly fault: string; readonly message: string }
  /** Carried out, then reported as failed. */
  | { readonly kind: 'task-fault-after'; readonly fault: string; readonly message: string }
  /** Reported as Timedout, and carried out all the same, so much later. */
  | { readonly kind: 'task-timeout'; readonly workMs: number }
  /** Forgotten while it runs, and carried out so much later. */
  | { readonly kind: 'task-vanish'; readonly workMs: number }
  /** Runs until it is cancelled, or so much longer; `work`: what it is for is done, before. */
  | { readonly kind: 'task-hang'; readonly work: boolean; readonly ms: number | null }
  /** Succeeds, and nothing was done. */
  | { readonly kind: 'task-idle' }
  /** Takes so long; its work happens half way. */
  | { readonly kind: 'task-slow'; readonly durationMs: number }
  /** QueryChangedDiskAreas only. */
  | { readonly kind: 'areas'; readonly lie: AreasLie }
  | { readonly kind: 'delay'; readonly delayMs: number }
  | { readonly kind: 'drop-connection' }
  /** API methods only: carried out, but the caller never hears of it. */
  | { readonly kind: 'drop-reply' }
  | { readonly kind: 'expire-session' }
  | { readonly kind: 'http-status'; readonly status: number }
  /** /folder only: fewer bytes than Content-Range says, or a wrong Content-Range. */
  | { readonly kind: 'short-body' }
  | { readonly kind: 'wrong-range' }
  /** /folder only: the right heads, and bytes of another place of the file. */
  | { readonly kind: 'other-bytes' }

/**
 * What is wrong with one reply about changed areas. Against the documents: 'disorder', 'overlap', 'outside' (an area beyond the
 * window), 'beyond' (a window beyond the disk), 'nothing' (it covers nothing), 'wrong-start'. Well formed: 'leave-out' (every second area is
 * missing), 'everything' (the whole window is said to be changed).
 */
export const AREAS_LIES = [
  ...(['disorder', 'overlap', 'outside', 'beyond', 'nothing', 'wrong-start'] as const),
  ...(['leave-out', 'everything'] as const),
] as const

export type AreasLie = (typeof AREAS_LIES)[number]
