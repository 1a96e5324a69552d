// A VM of the in-memory vCenter: disks in layers, snapshots that freeze them, changed blocks. Nothing here knows of calls.

import { createHash } from 'node:crypto'
import { BackupError } from '../../base/errors.ts'
import { type Moref, parseMoref, parseVmId, type VmId } from '../../model/ids.ts'
import type { VmDisk, VmState } from '../../model/vm.ts'
import type { VmTask } from '../../model/vm-task.ts'
import type { VsphereSession } from '../../ports/vsphere.ts'

/** What changes are tracked by. */
export const BLOCK_BYTES = 65_536

export type MemoryDisk = {
  readonly key: number
  label: string
  bytes: Uint8Array
  mode: VmDisk['mode']
  backing: VmDisk['backing']
  uuid: string
  /** The layer that is written to, then what it builds on. */
  files: readonly string[]
  /** By block: the epoch of its last write. */
  readonly changedAt: Map<number, number>
}

/** A disk as a snapshot froze it: `files` are the frozen layer and what it builds on. */
export type FrozenDisk = {
  readonly key: number
  readonly bytes: Uint8Array
  readonly changeId: string | null
  readonly changedAt: ReadonlyMap<number, number>
  files: readonly string[]
  readonly disk: VmDisk
}

export type MemorySnapshot = {
  readonly moref: Moref
  readonly name: string
  readonly description: string
  readonly quiesced: boolean
  readonly backupManifest: string | null
  readonly atMs: number
  /** When the tree begins to show it. */
  readonly listedFromMs: number
  readonly epoch: number
  parent: Moref | null
  readonly frozen: readonly FrozenDisk[]
}

/** One VM; tests change it as they like. */
export type MemoryVm = {
  moref: Moref
  vmId: VmId
  readonly name: string
  readonly disks: MemoryDisk[]
  powerState: VmState['powerState']
  connectionState: string
  toolsRunning: boolean
  family: VmState['guest']['family']
  ipAddresses: readonly string[]
  /** The way in through VMware Tools; null: guest operations are not available. */
  openGuest: VsphereSession['openGuest'] | null
  /** What VMware Tools write beside a quiesced snapshot of a Windows guest. */
  vssManifest: { readonly bytes: Uint8Array; readonly writers: readonly string[] } | null
  template: boolean
  faultTolerant: boolean
  tracking: boolean
  trackingReal: boolean
  trackingSupported: boolean | null
  consolidationNeeded: boolean
  /** Counts snapshots; a write belongs to the epoch it happens in. */
  epoch: number
  /** Changes when tracking starts anew: change ids of before are then refused. */
  chain: string
  snapshots: MemorySnapshot[]
  /** The snapshot that the running disks build on. */
  current: Moref | null
  /** What runs on it, by name alone or as vCenter tells it. */
  runningTasks: (string | VmTask)[]
  /** Of the datastore that all its disks are on. */
  datastore: { readonly name: string; readonly capacityBytes: number; readonly freeBytes: number }
  /** What the next calls meet. */
  readonly mishaps: {
    /** So many quiesced snapshots fail. */
    quiesceFails: number
    /** A quiesced snapshot is made and not marked as quiesced. */
    quiesceUnmarked: boolean
    /** How long a snapshot is there before the tree shows it. */
    listedAfterMs: number
    /** So many removals leave files behind that need consolidation. */
    removalsUnconsolidated: number
    /** So many removals leave files behind and nothing says that they need consolidation. */
    removalsHidden: number
    /** So many consolidations fail and change nothing. */
    consolidationsFail: number
    /** So many consolidations succeed and change nothing. */
    consolidationsDeaf: number
    /** Changed block tracking does not hear of what is written. */
    trackingBlind: boolean
    /** Changed block tracking is on and never becomes real. */
    trackingUnreal: boolean
    /** No changed areas can be had. */
    queryFails: boolean
    /** How long creating a snapshot takes, removing one, consolidating; the task goes on when its caller leaves. */
    snapshotTakesMs: number
    removalTakesMs: number
    consolidationTakesMs: number
  }
}

export function newVm(vm: {
  readonly name: string
  readonly diskBytes: readonly number[]
  readonly number: number
}): MemoryVm {
  const moref = parseMoref(`vm-${100 + vm.number}`)
  return {
    moref,
    vmId: vmIdFor(moref),
    name: vm.name,
    disks: vm.diskBytes.map((bytes, index) => newDisk({ vm: vm.name, key: 2000 + index, bytes })),
    powerState: 'poweredOn',
    connectionState: 'connected',
    toolsRunning: true,
    family: 'linux',
    ipAddresses: [],
    openGuest: null,
    vssManifest: null,
    template: false,
    faultTolerant: false,
    tracking: false,
    trackingReal: false,
    trackingSupported: true,
    consolidationNeeded: false,
    epoch: 1,
    chain: `52 ${vm.number} 0`,
    snapshots: [],
    current: null,
    runningTasks: [],
    datastore: { name: 'ds1', capacityBytes: 2 ** 41, freeBytes: 2 ** 40 },
    mishaps: noMishaps(),
  }
}

function noMishaps(): MemoryVm['mishaps'] {
  return {
    quiesceFails: 0,
    quiesceUnmarked: false,
    listedAfterMs: 0,
    removalsUnconsolidated: 0,
    removalsHidden: 0,
    consolidationsFail: 0,
    consolidationsDeaf: 0,
    trackingBlind: false,
    trackingUnreal: false,
    queryFails: false,
    snapshotTakesMs: 0,
    removalTakesMs: 0,
    consolidationTakesMs: 0,
  }
}

export function newDisk(disk: { readonly vm: string; readonly key: number; readonly bytes: number }): MemoryDisk {
  const suffix = disk.key === 2000 ? '' : `_${disk.key - 2000}`
  return {
    key: disk.key,
    label: `Hard disk ${disk.key - 1999}`,
    bytes: new Uint8Array(disk.bytes),
    mode: 'persistent',
    backing: 'flat',
    uuid: `6000C29-${disk.vm}-${disk.key}`,
    files: [`[ds1] ${disk.vm}/${disk.vm}${suffix}.vmdk`],
    changedAt: new Map(),
  }
}

/** The same text gives the same instance uuid. */
export function vmIdFor(text: string): VmId {
  const hash = createHash('sha256').update(text).digest('hex')
  const cuts = [0, 8, 12, 16, 20, 32]
  return parseVmId(
    cuts
      .slice(1)
      .map((end, i) => hash.slice(cuts[i], end))
      .join('-'),
  )
}

/** The guest writes. */
export function writeDisk(
  vm: MemoryVm,
  { key, offsetBytes, bytes }: { readonly key: number; readonly offsetBytes: number; readonly bytes: Uint8Array },
): void {
  const disk = vm.disks.find((each) => each.key === key)
  if (disk === undefined) throw new Error(`No disk ${key}`)
  disk.bytes.set(bytes, offsetBytes)
  if (vm.mishaps.trackingBlind) return
  const last = Math.floor((offsetBytes + bytes.byteLength - 1) / BLOCK_BYTES)
  for (let block = Math.floor(offsetBytes / BLOCK_BYTES); block <= last; block++) disk.changedAt.set(block, vm.epoch)
}

/** Takes effect at the next snapshot. */
export function setTracking(vm: MemoryVm, enabled: boolean): void {
  if (vm.tracking !== enabled) vm.chain = `${vm.chain}-${vm.epoch}`
  vm.tracking = enabled
  vm.trackingReal = false
}

/** Freezes every disk that takes part in snapshots and puts a new layer above it. */
export function takeSnapshot(
  vm: MemoryVm,
  request: Pick<MemorySnapshot, 'name' | 'description' | 'quiesced' | 'atMs'> & {
    readonly backupManifest?: string | null
  },
): Moref {
  if (vm.tracking && !vm.mishaps.trackingUnreal) vm.trackingReal = true
  vm.epoch++
  const moref = parseMoref(`snapshot-${vm.moref}-${vm.epoch}`)
  const taking = vm.disks.filter((disk) => !disk.mode.startsWith('independent') && disk.backing !== 'rdm-physical')
  const frozen = taking.map((disk) => {
    const changeId = vm.trackingReal ? `${vm.chain}/${vm.epoch}` : null
    const { key, files } = disk
    return { key, files, changeId, bytes: disk.bytes.slice(), changedAt: new Map(disk.changedAt), disk: describe(disk) }
  })
  const { epoch } = vm
  vm.snapshots.push({
    moref,
    ...request,
    backupManifest: request.backupManifest ?? null,
    listedFromMs: request.atMs + vm.mishaps.listedAfterMs,
    epoch,
    parent: vm.current,
    frozen,
  })
  for (const disk of taking) disk.files = [newLayer(vm, disk), ...disk.files]
  vm.current = moref
  return moref
}

/** Removes a snapshot and merges its layer with the one above, unless several build on it or the merge is left undone. */
export function dropSnapshot(vm: MemoryVm, moref: Moref): void {
  const snapshot = vm.snapshots.find((each) => each.moref === moref)
  if (snapshot === undefined) throw new Error(`No snapshot ${moref}`)
  vm.snapshots = vm.snapshots.filter((each) => each !== snapshot)
  for (const each of vm.snapshots) if (each.parent === moref) each.parent = snapshot.parent
  if (vm.current === moref) vm.current = snapshot.parent
  if (vm.mishaps.removalsUnconsolidated > 0) {
    vm.mishaps.removalsUnconsolidated--
    vm.consolidationNeeded = true
    return
  }
  if (vm.mishaps.removalsHidden > 0) {
    vm.mishaps.removalsHidden--
    return
  }
  mergeUnused(vm)
}

/** Removes the whole tree and merges every layer, also those that nothing accounted for. */
export function dropAllSnapshots(vm: MemoryVm): void {
  vm.snapshots = []
  vm.current = null
  vm.consolidationNeeded = false
  mergeUnused(vm)
}

/** Merges every layer that no snapshot needs any more. */
export function consolidateDisks(vm: MemoryVm): void {
  if (vm.mishaps.consolidationsFail > 0) {
    vm.mishaps.consolidationsFail--
    throw new BackupError(`Cannot consolidate the disks of VM "${vm.name}": a file is locked`, {
      code: 'vcenter-fault',
      retry: 'later',
    })
  }
  if (vm.mishaps.consolidationsDeaf > 0) {
    vm.mishaps.consolidationsDeaf--
    return
  }
  vm.consolidationNeeded = false
  mergeUnused(vm)
}

/** The disks become what the snapshot froze; writes since are lost and change ids of before no longer count. */
export function revertTo(vm: MemoryVm, moref: Moref): void {
  const snapshot = vm.snapshots.find((each) => each.moref === moref)
  if (snapshot === undefined) throw new Error(`No snapshot ${moref}`)
  for (const frozen of snapshot.frozen) {
    const disk = vm.disks.find((each) => each.key === frozen.key)
    if (disk === undefined) continue
    disk.bytes = frozen.bytes.slice()
    disk.files = frozen.files
    disk.files = [newLayer(vm, disk), ...frozen.files]
  }
  vm.current = moref
  vm.chain = `${vm.chain}-${vm.epoch}`
}

/** Moves every file to another datastore, as Storage vMotion does. */
export function relocate(vm: MemoryVm, datastore: string): void {
  const moved = (files: readonly string[]): readonly string[] =>
    files.map((file) => file.replace(/^\[[^\]]*\]/, `[${datastore}]`))
  for (const disk of vm.disks) disk.files = moved(disk.files)
  for (const frozen of vm.snapshots.flatMap((snapshot) => snapshot.frozen)) frozen.files = moved(frozen.files)
  vm.chain = `${vm.chain}-${datastore}`
}

/** What a file holds now: frozen bytes, or the bytes that the guest goes on writing; null when there is no such file. */
export function fileBytes(vm: MemoryVm, fileName: string): Uint8Array | null {
  for (const frozen of vm.snapshots.flatMap((snapshot) => snapshot.frozen))
    if (frozen.files[0] === fileName) return frozen.bytes
  // A layer that nobody froze any more holds what was merged into it, a mixture: the live bytes stand in for it.
  return vm.disks.find((disk) => disk.files.includes(fileName))?.bytes ?? null
}

/** A disk as vCenter describes the layer it points at. */
export function describe(disk: MemoryDisk): VmDisk {
  return {
    key: disk.key,
    label: disk.label,
    capacityBytes: disk.bytes.byteLength,
    controllerKey: 1000,
    unitNumber: disk.key - 2000,
    mode: disk.mode,
    backing: disk.backing,
    fileName: disk.files[0] ?? '',
    parents: disk.files.slice(1),
    uuid: disk.uuid,
    changeId: null,
    thin: true,
    encrypted: false,
    sharing: false,
  }
}

/** vSphere gives the lowest number that is free, so names come again. */
function newLayer(vm: MemoryVm, disk: MemoryDisk): string {
  const base = (disk.files.at(-1) ?? '').replace(/\.vmdk$/, '')
  const used = new Set(chainsOf(vm, disk.key).flat())
  for (let number = 1; ; number++) {
    const name = `${base}-${String(number).padStart(6, '0')}.vmdk`
    if (!used.has(name)) return name
  }
}

function chainsOf(vm: MemoryVm, key: number): readonly (readonly string[])[] {
  const live = vm.disks.find((disk) => disk.key === key)?.files ?? []
  return [
    live,
    ...vm.snapshots.flatMap(({ frozen }) => frozen.filter((each) => each.key === key).map(({ files }) => files)),
  ]
}

/** A layer with exactly one above it, frozen by no snapshot: the one above is merged into it and takes its name. */
function mergeUnused(vm: MemoryVm): void {
  for (const { key } of vm.disks) {
    for (let merged = mergeable(vm, key); merged !== null; merged = mergeable(vm, key)) {
      const { upper } = merged
      const without = (files: readonly string[]): readonly string[] => files.filter((file) => file !== upper)
      for (const disk of vm.disks) if (disk.key === key) disk.files = without(disk.files)
      for (const frozen of vm.snapshots.flatMap((snapshot) => snapshot.frozen))
        if (frozen.key === key) frozen.files = without(frozen.files)
    }
  }
}

function mergeable(vm: MemoryVm, key: number): { readonly lower: string; readonly upper: string } | null {
  const chains = chainsOf(vm, key)
  const frozen = new Set(chains.slice(1).map((files) => files[0]))
  for (const files of chains) {
    for (const [index, lower] of files.entries()) {
      const upper = files[index - 1]
      if (upper === undefined || frozen.has(lower)) continue
      const uppers = new Set(
        chains.map((other) => other[other.indexOf(lower) - 1]).filter((file) => file !== undefined),
      )
      if (uppers.size === 1) return { lower, upper }
    }
  }
  return null
}
