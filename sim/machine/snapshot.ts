// One node of a machine's snapshot tree, and walks over the tree. The machine alone changes nodes.

import type { FrozenTracking } from './change-tracking.ts'
import { changeIdOf } from './change-tracking.ts'
import type { Frozen } from './digest.ts'
import type { Disk, Layer } from './disk.ts'
import { homeOf, stemOf } from './paths.ts'
import type { SimConfig, SimDisk, SimLayer, SimSnapshot, SimSnapshotDisk } from './types.ts'

/** A disk as a snapshot keeps it. */
export type KeptDisk = { readonly disk: Disk; readonly layer: Layer; readonly tracking: FrozenTracking | null }

export type SnapshotOptions = Pick<
  SimSnapshot,
  'id' | 'name' | 'description' | 'createdMs' | 'listedFromMs' | 'quiesced' | 'config' | 'leftOut'
> & {
  readonly kept: readonly KeptDisk[]
  readonly frozen: Frozen
  readonly changeTrackingEnabled: boolean
  readonly parent: Snapshot | null
  /** The VSS manifest as a ZIP archive. */
  readonly manifest: Uint8Array | null
  readonly manifestPath: 'relative' | 'datastore'
}

export class Snapshot implements SimSnapshot {
  readonly id: number
  readonly name: string
  readonly description: string
  readonly createdMs: number
  listedFromMs: number
  readonly quiesced: boolean
  readonly config: SimConfig
  readonly leftOut: readonly SimDisk[]
  readonly kept: readonly KeptDisk[]
  readonly frozen: Frozen
  readonly changeTrackingEnabled: boolean
  /** A file of the machine while the snapshot is there. */
  readonly manifestFile: { readonly path: string; readonly bytes: Uint8Array } | null
  readonly backupManifest: string | null
  parent: Snapshot | null
  children: readonly Snapshot[] = []

  constructor(options: SnapshotOptions) {
    this.id = options.id
    this.name = options.name
    this.description = options.description
    this.createdMs = options.createdMs
    this.listedFromMs = options.listedFromMs
    this.quiesced = options.quiesced
    this.config = options.config
    this.leftOut = options.leftOut
    this.kept = options.kept
    this.frozen = options.frozen
    this.changeTrackingEnabled = options.changeTrackingEnabled
    this.parent = options.parent
    // The snapshot directory is the machine's own (VirtualMachineFileInfo.snapshotDirectory).
    const home = homeOf(options.config.vmPathName)
    const name = `${stemOf(options.config.vmPathName).slice(home.length)}-vss_manifests${options.id}.zip`
    this.manifestFile = options.manifest === null ? null : { path: `${home}${name}`, bytes: options.manifest }
    const shown = options.manifestPath === 'relative' ? name : `${home}${name}`
    this.backupManifest = options.manifest === null ? null : shown
  }

  get disks(): readonly SimSnapshotDisk[] {
    return this.kept.map(describe)
  }

  /** This snapshot and all below it. */
  subtree(): readonly Snapshot[] {
    return [this, ...this.children.flatMap((child) => child.subtree())]
  }
}

function describe({ disk, layer, tracking }: KeptDisk): SimSnapshotDisk {
  return {
    deviceKey: disk.deviceKey,
    label: disk.label,
    controllerKey: disk.controllerKey,
    unitNumber: disk.unitNumber,
    capacityBytes: disk.capacityBytes,
    mode: disk.mode,
    rdm: disk.rdm,
    thin: disk.thin,
    datastore: disk.datastore,
    changeId: tracking === null ? null : changeIdOf(tracking),
    content: disk.contentOf(layer),
    // Merges of other snapshots change the chain's files, never its content.
    get chain(): readonly SimLayer[] {
      return disk.chainOf(layer)
    },
  }
}
