// A virtual machine as vCenter describes it: what plan selects by, what preflight judges, what a restore recreates.

import type { Moref, VmId } from './ids.ts'

export type PowerState = 'poweredOn' | 'poweredOff' | 'suspended'

/** One VM in the inventory, enough to select it by. Names and paths are decoded (no %2f). */
export type VmSummary = {
  readonly moref: Moref
  readonly vmId: VmId
  readonly name: string
  /** "/DC/vm-folder/sub", without the datacenter's hidden "vm" folder and without the VM's name. */
  readonly folder: string
  readonly datacenter: string
  readonly cluster: string | null
  readonly host: string | null
  readonly resourcePool: string | null
  readonly datastores: readonly string[]
  /** "category/tag"; empty also where the server has no tags. */
  readonly tags: readonly string[]
  readonly template: boolean
  readonly powerState: PowerState
}

/** VirtualDisk backing modes (VirtualDiskMode); independent ones take no part in snapshots. */
export type DiskMode =
  | 'persistent'
  | 'nonpersistent'
  | 'undoable'
  | 'append'
  | 'independent_persistent'
  | 'independent_nonpersistent'

export type VmDisk = {
  /** VirtualDevice.key: stays the same for the life of the disk in its VM. */
  readonly key: number
  readonly label: string
  readonly capacityBytes: number
  readonly controllerKey: number
  readonly unitNumber: number
  readonly mode: DiskMode
  /** Which backing class: only flat files can be read by ranges. */
  readonly backing: 'flat' | 'rdm-physical' | 'rdm-virtual' | 'sparse' | 'sesparse' | 'other'
  /** "[datastore] dir/name.vmdk" of the layer this view points at. */
  readonly fileName: string
  /** The chain's file names below fileName, nearest parent first. */
  readonly parents: readonly string[]
  /** VirtualDisk backing uuid: the disk's identity; survives moves, not re-creation. */
  readonly uuid: string | null
  /** Set on a snapshot's disks when changed block tracking was active on them. */
  readonly changeId: string | null
  readonly thin: boolean | null
  readonly encrypted: boolean
  readonly sharing: boolean
}

/**
 * Whether a VM has this disk by hot-add of somebody who reads it: it is left out of snapshots, keeps nothing that is written to
 * it, and its file, or one below it, is among those of the VM that is read.
 */
export function isHotAdded({ mode, fileName, parents }: VmDisk, filesOfRead: readonly string[]): boolean {
  return mode === 'independent_nonpersistent' && [fileName, ...parents].some((file) => filesOfRead.includes(file))
}

export type GuestNic = {
  readonly network: string | null
  readonly macAddress: string | null
  readonly connected: boolean
  readonly addresses: readonly string[]
}

export type VmSnapshot = {
  readonly moref: Moref
  readonly name: string
  readonly description: string
  readonly createdAt: string
  readonly quiesced: boolean
  /** VirtualMachineSnapshotTree.backupManifest: the VSS manifest's file, relative to the snapshot directory; null: none. */
  readonly backupManifest: string | null
  readonly children: readonly VmSnapshot[]
}

export type VmState = {
  readonly moref: Moref
  readonly vmId: VmId
  readonly name: string
  readonly powerState: PowerState
  readonly connectionState: string
  readonly template: boolean
  readonly hardwareVersion: string
  readonly changeTrackingEnabled: boolean
  /** Null where the server does not say. */
  readonly changeTrackingSupported: boolean | null
  readonly consolidationNeeded: boolean
  readonly faultTolerant: boolean
  readonly host: Moref | null
  readonly datacenter: string
  readonly guest: {
    readonly family: 'windows' | 'linux' | 'other' | null
    readonly toolsRunning: boolean
    /** "12352", and what vCenter says of it ("guestToolsCurrent", …); null where it does not say. */
    readonly toolsVersion: string | null
    readonly toolsVersionStatus: string | null
    /** GuestInfo.guestOperationsReady: whether programs can be run through VMware Tools; null where vCenter does not say. */
    readonly operationsReady: boolean | null
    readonly hostName: string | null
    /** Every address that Tools report, the primary one first. */
    readonly ipAddresses: readonly string[]
    /** By network card; empty on servers that report addresses alone. */
    readonly nics: readonly GuestNic[]
  }
  /** disk.enableUUID, which VSS needs; null where it is not set. */
  readonly diskUuidEnabled: boolean | null
  /** Labels of disks on IDE controllers: application quiescing leaves them out. */
  readonly ideDisks: readonly string[]
  readonly disks: readonly VmDisk[]
  readonly snapshots: readonly VmSnapshot[]
}

/** The disks of a snapshot, as frozen. */
export type SnapshotState = {
  readonly moref: Moref
  readonly disks: readonly VmDisk[]
}

/** Everything needed to create an equivalent VM; kept in each restore point. */
export type VmConfig = {
  readonly name: string
  readonly vmId: VmId
  readonly biosUuid: string
  readonly annotation: string
  readonly hardwareVersion: string
  readonly guestId: string
  readonly guestFullName: string
  readonly firmware: 'bios' | 'efi'
  readonly secureBoot: boolean
  readonly cpus: number
  readonly coresPerSocket: number
  readonly memoryMB: number
  readonly folder: string
  readonly resourcePool: string | null
  readonly extraConfig: Readonly<Record<string, string>>
  readonly controllers: readonly VmController[]
  readonly nics: readonly VmNic[]
  readonly disks: readonly VmDisk[]
  /** Devices kept by name only: a restore reports them and cannot recreate them. */
  readonly otherDevices: readonly { readonly key: number; readonly type: string; readonly label: string }[]
  /** The .vmx text as found; null where the server would not give it, with the reason in `missing`. */
  readonly vmx: string | null
  /** The .nvram bytes, base64; null when the VM has none or the server would not give it. */
  readonly nvramBase64: string | null
  readonly missing: readonly string[]
}

export type VmController = {
  readonly key: number
  readonly type: string
  readonly busNumber: number
  readonly sharedBus: string | null
}

export type VmNic = {
  readonly key: number
  readonly type: string
  readonly label: string
  readonly macAddress: string
  readonly addressType: string
  readonly network: string
  readonly connected: boolean
  readonly startConnected: boolean
}

/** The snapshots of a tree, root first, children after their parent. */
export function flattenSnapshots(roots: readonly VmSnapshot[]): readonly VmSnapshot[] {
  return roots.flatMap((root) => [root, ...flattenSnapshots(root.children)])
}
