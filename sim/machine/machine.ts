// A simulated virtual machine: config, power, disks, snapshots, change tracking and guest. It knows no morefs and no XML.

import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { Cancel } from '../../lib/base/time-limit.ts'
import type { LiveGuestSystem } from '../guest/types.ts'
import { changedAreasOf, keptBy, liveDisk } from './changed-areas.ts'
import { deviceKeyOf, diskUuid, freeUnit, invalidArgument, powerFault } from './devices.ts'
import { digestOfDisk, type FrozenLedger } from './digest.ts'
import { Disk, type Layer } from './disk.ts'
import type { StoreMaker } from './grain-store.ts'
import { Guest } from './guest.ts'
import { freeStem } from './paths.ts'
import { type QuiescedGuest, Quiescing } from './quiescing.ts'
import { type KeptDisk, Snapshot } from './snapshot.ts'
import { SnapshotTree } from './snapshot-tree.ts'
import type { Tools } from './tools.ts'
import {
  type ChangedAreas,
  type DiskMode,
  type QuiesceWish,
  type SimConfig,
  type SimConfigChanges,
  SimFault,
  type SimGuestNic,
  type SimMachine,
  type SimSnapshot,
  type SnapshotWish,
} from './types.ts'
import { manifestArchive } from './vss.ts'

/** What the machine gets from its estate. */
export type MachineWorld = {
  readonly clock: Clock
  readonly random: Random
  readonly stores: StoreMaker
  readonly ledger: FrozenLedger
}

export type MachineDisk = {
  readonly capacityBytes: number
  readonly thin: boolean
  readonly datastore: string
  readonly controllerKey: number
  readonly unitNumber: number
  readonly mode: DiskMode
  readonly rdm: 'physicalMode' | 'virtualMode' | null
}

export type MachineOptions = {
  readonly config: SimConfig
  readonly disks: readonly MachineDisk[]
  readonly nvram: Uint8Array | null
  readonly tools: Tools
  /** Null: what is inside the guest is not simulated. */
  readonly system: LiveGuestSystem | null
  /** 'vmfs': `*` gives the allocated areas. 'whole': it gives the whole disk, as NFS and vSAN do. */
  readonly allocation: 'vmfs' | 'whole'
  /** No reply of changedAreas() covers more than this; Infinity for no bound. */
  readonly changeWindowBytes: number
}

export class Machine implements SimMachine {
  readonly guest: Guest
  readonly tools: Tools
  readonly quiescing: Quiescing
  readonly system: LiveGuestSystem | null
  nvram: Uint8Array | null
  #config: SimConfig
  #disks: readonly Disk[] = []
  readonly #tree = new SnapshotTree()
  #snapshotsMade = 0
  #poweredOn = false
  #bootedMs: number | null = null
  #changeTrackingEnabled = false
  /** Until when disks are not merged, and whether tracking misses what is written meanwhile. */
  #merging: { readonly untilMs: number } | null = null
  /** How late the tree shows the next snapshot. */
  #listLateMs = 0
  readonly #options: MachineOptions
  readonly #world: MachineWorld

  constructor(options: MachineOptions, world: MachineWorld) {
    this.#options = options
    this.#world = world
    this.#config = options.config
    this.nvram = options.nvram
    this.tools = options.tools
    this.system = options.system
    for (const disk of options.disks) this.#attach(disk)
    this.guest = new Guest({
      identity: options.config.instanceUuid,
      random: world.random,
      disks: () => this.#disks.filter((disk) => disk.covered),
      nowMs: () => world.clock.nowMs(),
    })
    this.quiescing = new Quiescing({ guest: this.guest, tools: this.tools })
  }

  get config(): SimConfig {
    return this.#config
  }

  /** What was held back by holdConsolidation() is done as soon as somebody looks after its time. */
  get disks(): readonly Disk[] {
    this.#settle()
    return this.#disks
  }

  get powerState(): 'poweredOn' | 'poweredOff' {
    return this.#poweredOn ? 'poweredOn' : 'poweredOff'
  }

  get bootedMs(): number | null {
    return this.#bootedMs
  }

  get toolsRunning(): boolean {
    return this.#poweredOn && this.tools.start
  }

  get guestNics(): readonly SimGuestNic[] {
    return this.toolsRunning ? this.tools.nicsOf(this.#config) : []
  }

  get hostName(): string {
    return this.toolsRunning ? this.tools.hostName : ''
  }

  get changeTrackingEnabled(): boolean {
    return this.#changeTrackingEnabled
  }

  get consolidationNeeded(): boolean {
    this.#settle()
    const owned = this.#ownedLayers()
    return this.#disks.some((disk) => disk.needsConsolidation(owned))
  }

  get rootSnapshots(): readonly Snapshot[] {
    return this.#tree.roots
  }

  get currentSnapshot(): Snapshot | null {
    return this.#tree.current
  }

  /** Every snapshot, parents before children. */
  get snapshots(): readonly Snapshot[] {
    return this.#tree.all
  }

  /** The disks of the machine and those that only snapshots still hold. */
  get allDisks(): readonly Disk[] {
    return [...new Set([...this.#disks, ...this.snapshots.flatMap((one) => one.kept.map(({ disk }) => disk))])]
  }

  powerOn(): void {
    if (this.#poweredOn) throw powerFault('poweredOff', 'poweredOn')
    this.#setPower(true)
    this.guest.boot()
    this.system?.start({ hold: () => this.guest.hold('script'), resume: () => this.guest.resume('script') })
    this.#endStun()
  }

  powerOff(): void {
    if (!this.#poweredOn) throw powerFault('poweredOn', 'poweredOff')
    this.#setPower(false)
  }

  setChangeTracking(enabled: boolean): void {
    this.#changeTrackingEnabled = enabled
    if (!enabled) for (const disk of this.#disks) disk.stopTracking()
    else if (!this.#poweredOn && this.#tree.roots.length === 0) this.#endStun()
  }

  reconfigure(changes: SimConfigChanges): void {
    const { extraConfig, ...plain } = changes
    const merged = Object.entries({ ...this.#config.extraConfig, ...extraConfig }).filter(([, value]) => value !== '')
    this.#config = { ...this.#config, ...plain, extraConfig: Object.fromEntries(merged) }
  }

  addDisk(options: { readonly capacityBytes: number; readonly thin: boolean; readonly datastore: string }): Disk {
    const controller = this.#config.controllers[0]
    if (controller === undefined) throw invalidArgument('spec.deviceChange', 'The machine has no controller')
    const place = { controllerKey: controller.deviceKey, unitNumber: freeUnit(controller, this.#disks) }
    return this.#attach({ ...options, ...place, mode: 'persistent', rdm: null })
  }

  removeDisk(deviceKey: number): boolean {
    const disk = this.#disks.find((one) => one.deviceKey === deviceKey)
    if (disk === undefined) return false
    this.#disks = this.#disks.filter((one) => one !== disk)
    disk.lock(false)
    if (!this.allDisks.includes(disk)) disk.dispose()
    return true
  }

  growDisk(deviceKey: number, capacityBytes: number): boolean {
    const disk = this.#disks.find((one) => one.deviceKey === deviceKey)
    if (disk === undefined) return false
    if (capacityBytes < disk.capacityBytes) throw invalidArgument('spec.deviceChange', 'A disk does not shrink')
    if (disk.layers.length > 1) throw new SimFault('GenericVmConfigFault', 'A disk with snapshots does not grow')
    disk.grow(capacityBytes)
    return true
  }

  /** From now on, for so long, removals leave the disks unmerged. `deaf`: tracking misses what is written meanwhile. */
  holdConsolidation({ ms, deaf }: { readonly ms: number; readonly deaf: boolean }): void {
    this.#merging = { untilMs: this.#world.clock.nowMs() + ms }
    if (deaf) for (const disk of this.#disks) if (disk.tracker !== null) disk.tracker.deaf = true
  }

  /** The tree shows the next snapshot only so much later. */
  listLate(ms: number): void {
    this.#listLateMs = ms
  }

  createSnapshot(options: SnapshotWish): Snapshot {
    const quiesced = this.#holdWrites(options.quiesce)
    try {
      return this.#cut(options, quiesced)
    } finally {
      this.quiescing.release()
    }
  }

  async takeSnapshot(options: SnapshotWish, { signal }: Cancel): Promise<Snapshot> {
    const quiesced = this.#holdWrites(options.quiesce)
    const pause = async () => {
      const { quiesceMs } = this.quiescing
      if (quiesced.quiesced && quiesceMs > 0) await this.#world.clock.sleep(quiesceMs, { signal })
    }
    try {
      await pause()
      const snapshot = this.#cut(options, quiesced)
      await pause()
      return snapshot
    } finally {
      this.quiescing.release()
    }
  }

  #holdWrites(wish: QuiesceWish): QuiescedGuest {
    return this.quiescing.hold(wish, { config: this.#config, poweredOn: this.#poweredOn })
  }

  #cut({ name, description, quiesce }: SnapshotWish, { quiesced, writers }: QuiescedGuest): Snapshot {
    this.#settle()
    const covered = this.#disks.filter((disk) => disk.covered)
    const leftOut = this.#disks.filter((disk) => !disk.covered)
    const kept: readonly KeptDisk[] = covered.map((disk) => ({ disk, ...disk.freeze() }))
    const createdMs = this.#world.clock.nowMs()
    const listedFromMs = createdMs + this.#listLateMs
    this.#listLateMs = 0
    const id = ++this.#snapshotsMade
    const frozen = this.#world.ledger.add(
      {
        vm: this.#config.name,
        instanceUuid: this.#config.instanceUuid,
        snapshot: name,
        snapshotId: id,
        createdMs,
        quiesced,
      },
      kept,
    )
    const changeTrackingEnabled = this.#changeTrackingEnabled
    const parent = this.#tree.current
    const manifest =
      writers === null || quiesce.kind === 'none'
        ? null
        : manifestArchive({ writers, wish: quiesce, nowMs: createdMs, seed: `${this.#config.instanceUuid} ${id}` })
    const snapshot = new Snapshot({
      ...{ id, name, description, createdMs, listedFromMs, quiesced, config: this.#config, leftOut, kept, frozen },
      ...{ changeTrackingEnabled, parent, manifest, manifestPath: this.quiescing.vss.manifestPath },
    })
    this.#tree.add(snapshot)
    this.#endStun()
    return snapshot
  }

  removeSnapshot(
    snapshot: SimSnapshot,
    options: { readonly removeChildren: boolean; readonly consolidate: boolean },
  ): void {
    const gone = this.#tree.remove(this.#tree.own(snapshot), options)
    this.#disposeUnheld(gone)
    if (options.consolidate) this.consolidate()
    this.#endStun()
  }

  removeAllSnapshots(): void {
    this.#disposeUnheld(this.#tree.clear())
    this.consolidate()
    this.#endStun()
  }

  /** The snapshots hold no memory: a machine is off after going back to one. */
  revertTo(snapshot: SimSnapshot): void {
    const node = this.#tree.own(snapshot)
    const before = this.#disks
    this.#setPower(false)
    for (const { disk, layer } of node.kept) disk.revertTo(layer)
    this.#disks = [...node.kept.map(({ disk }) => disk), ...before.filter((disk) => !disk.covered)].toSorted(
      (a, b) => a.deviceKey - b.deviceKey,
    )
    this.#config = node.config
    this.setChangeTracking(node.changeTrackingEnabled)
    this.#tree.goTo(node)
    for (const disk of before) if (!this.allDisks.includes(disk)) disk.dispose()
    this.#endStun()
  }

  consolidate(): void {
    this.#settle()
    if (this.#merging !== null) return
    const owned = this.#ownedLayers()
    for (const disk of this.allDisks) disk.consolidate(owned)
  }

  changedAreas(query: {
    readonly snapshot: SimSnapshot | null
    readonly deviceKey: number
    readonly startOffset: number
    readonly changeId: string
  }): ChangedAreas {
    const { allocation, changeWindowBytes: windowBytes } = this.#options
    const { snapshot, deviceKey } = query
    const queried =
      snapshot === null
        ? liveDisk(this.#disks, { deviceKey, running: this.#poweredOn })
        : keptBy(this.#tree.own(snapshot).kept, deviceKey)
    return changedAreasOf(queried, { ...query, allocation, windowBytes })
  }

  /** The SHA-256 of a disk as it is now; null when there is no such disk. */
  digestNow(deviceKey: number): string | null {
    const disk = this.#disks.find((one) => one.deviceKey === deviceKey)
    return disk === undefined ? null : digestOfDisk(disk, { layer: disk.active })
  }

  /** Gives every disk's layers back and removes what is inside the guest; the machine must not be used after it. */
  dispose(): void {
    this.system?.dispose()
    for (const one of this.snapshots) one.frozen.finish()
    for (const disk of this.allDisks) disk.dispose()
  }

  #settle(): void {
    if (this.#merging === null || this.#world.clock.nowMs() < this.#merging.untilMs) return
    this.#merging = null
    for (const disk of this.#disks) if (disk.tracker !== null) disk.tracker.deaf = false
    this.consolidate()
  }

  /** What ends every stun: tracking begins where it is wanted and is not active. */
  #endStun(): void {
    if (!this.#changeTrackingEnabled) return
    for (const disk of this.#disks) if (disk.covered && disk.changeId === null) disk.startTracking()
  }

  #setPower(on: boolean): void {
    this.#poweredOn = on
    this.#bootedMs = on ? this.#world.clock.nowMs() : null
    if (!on) this.system?.stop()
    if (!on) this.guest.stop()
    for (const disk of this.#disks) disk.lock(on)
  }

  #ownedLayers(): ReadonlySet<Layer> {
    return new Set(this.snapshots.flatMap((one) => one.kept.map(({ disk, layer }) => disk.present(layer))))
  }

  #disposeUnheld(gone: readonly Snapshot[]): void {
    const held = new Set(this.allDisks)
    for (const disk of new Set(gone.flatMap((one) => one.kept.map((kept) => kept.disk)))) {
      if (!held.has(disk)) disk.dispose()
    }
  }

  #attach(wanted: MachineDisk): Disk {
    const disk = new Disk(
      {
        ...wanted,
        deviceKey: deviceKeyOf(wanted, { controllers: this.#config.controllers }),
        label: `Hard disk ${this.#disks.length + 1}`,
        stem: freeStem(this.#config.vmPathName, {
          datastore: wanted.datastore,
          used: new Set(this.allDisks.map((disk) => disk.options.stem)),
        }),
        uuid: diskUuid(this.#world.random),
      },
      { stores: this.#world.stores, random: this.#world.random },
    )
    disk.lock(this.#poweredOn)
    this.#disks = [...this.#disks, disk].toSorted((a, b) => a.deviceKey - b.deviceKey)
    return disk
  }
}
