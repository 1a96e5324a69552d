// A vCenter of this process: the Vsphere port with VMs, snapshots of their bytes and changed blocks; faults on request.

import { createHash } from 'node:crypto'
import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { type Extent, mergeExtents } from '../../model/extent.ts'
import { type Moref, parseMoref, parseVmId } from '../../model/ids.ts'
import type { VmConfig, VmDisk, VmSnapshot, VmState } from '../../model/vm.ts'
import type { Vsphere, VsphereSession } from '../../ports/vsphere.ts'

const BLOCK_BYTES = 65_536
const AREAS_MAX = 2_000

export type MemoryDisk = {
  readonly key: number
  bytes: Uint8Array
  mode: VmDisk['mode']
  generation: number
  readonly changedAt: Map<number, number>
}

type Frozen = {
  readonly key: number
  readonly bytes: Uint8Array
  readonly changeId: string | null
  readonly fileName: string
}

type Snapshot = {
  readonly moref: Moref
  readonly name: string
  readonly description: string
  readonly quiesced: boolean
  readonly atMs: number
  readonly frozen: readonly Frozen[]
}

/** One VM; tests change it as they like. */
export type MemoryVm = {
  readonly moref: Moref
  readonly name: string
  readonly disks: MemoryDisk[]
  powerState: VmState['powerState']
  toolsRunning: boolean
  template: boolean
  tracking: boolean
  trackingReal: boolean
  trackingSupported: boolean | null
  consolidationNeeded: boolean
  epoch: number
  chain: string
  snapshots: Snapshot[]
  runningTasks: string[]
}

export type MemoryVcenter = {
  readonly vsphere: Vsphere
  readonly vms: MemoryVm[]
  addVm(options: { readonly name: string; readonly diskBytes: readonly number[] }): MemoryVm
  /** The guest writes. */
  write(vm: MemoryVm, range: { readonly key: number; readonly offsetBytes: number; readonly bytes: Uint8Array }): void
  /** The frozen bytes of a snapshot's disk; null when there is no such snapshot or disk. */
  frozenBytes(snapshot: Moref, key: number): Uint8Array | null
  /** Names of the calls so far, for counting and for asserting an order. */
  readonly calls: string[]
}

export type MemoryVcenterOptions = {
  readonly nowMs: () => number
  /** Called before each call is carried out, with its name and number from 1; what it throws is the call's failure. */
  readonly before?: (call: string, number: number) => void
  /** Called after each call was carried out; what it throws hides the result. */
  readonly after?: (call: string, number: number) => void
}

export function memoryVcenter(options: MemoryVcenterOptions): MemoryVcenter {
  const vms: MemoryVm[] = []
  const calls: string[] = []
  const call = async <Result>(name: string, { signal }: Cancel, act: () => Result): Promise<Result> => {
    signal.throwIfAborted()
    calls.push(name)
    const number = calls.length
    options.before?.(name, number)
    const result = act()
    options.after?.(name, number)
    return result
  }
  return {
    vms,
    calls,
    vsphere: { open: (cancel) => call('open', cancel, () => sessionOf({ vms, call, nowMs: options.nowMs })) },
    addVm: ({ name, diskBytes }) => {
      const vm = newVm({ name, diskBytes, number: vms.length + 1 })
      vms.push(vm)
      return vm
    },
    write: (vm, { key, offsetBytes, bytes }) => {
      const disk = vm.disks.find((each) => each.key === key)
      if (disk === undefined) throw new Error(`No disk ${key}`)
      disk.bytes.set(bytes, offsetBytes)
      const last = Math.floor((offsetBytes + bytes.byteLength - 1) / BLOCK_BYTES)
      for (let block = Math.floor(offsetBytes / BLOCK_BYTES); block <= last; block++)
        disk.changedAt.set(block, vm.epoch)
    },
    frozenBytes: (moref, key) =>
      findSnapshot(vms, moref)?.snapshot.frozen.find((disk) => disk.key === key)?.bytes ?? null,
  }
}

function newVm({
  name,
  diskBytes,
  number,
}: {
  readonly name: string
  readonly diskBytes: readonly number[]
  readonly number: number
}): MemoryVm {
  return {
    moref: parseMoref(`vm-${100 + number}`),
    name,
    disks: diskBytes.map((bytes, index) => ({
      key: 2000 + index,
      bytes: new Uint8Array(bytes),
      mode: 'persistent',
      generation: 0,
      changedAt: new Map(),
    })),
    powerState: 'poweredOn',
    toolsRunning: true,
    template: false,
    tracking: false,
    trackingReal: false,
    trackingSupported: true,
    consolidationNeeded: false,
    epoch: 1,
    chain: `52 00 ${number}`,
    snapshots: [],
    runningTasks: [],
  }
}

type Center = {
  readonly vms: readonly MemoryVm[]
  readonly nowMs: () => number
  readonly call: <Result>(name: string, cancel: Cancel, act: () => Result) => Promise<Result>
}

function sessionOf({ vms, call, nowMs }: Center): VsphereSession {
  const find = (moref: Moref) => vms.find((vm) => vm.moref === moref) ?? missing('vm-not-found', moref)
  const ofSnapshot = (moref: Moref) => findSnapshot(vms, moref) ?? missing('snapshot-not-found', moref)
  return {
    about: { fullName: 'In-memory vCenter', apiVersion: '8.0', instanceUuid: '11111111-2222-3333-4444-555555555555' },
    [Symbol.asyncDispose]: async () => undefined,
    listVms: (cancel) => call('listVms', cancel, () => vms.map(summaryOf)),
    readVm: (moref, cancel) => call('readVm', cancel, () => stateOf(find(moref))),
    readSnapshot: (moref, cancel) =>
      call('readSnapshot', cancel, () => {
        const { vm, snapshot } = ofSnapshot(moref)
        return { moref, disks: snapshot.frozen.map((frozen) => diskOf(vm, frozen)) }
      }),
    createSnapshot: (request, cancel) =>
      call('createSnapshot', cancel, () => createSnapshot(find(request.vm), { ...request, atMs: nowMs() })),
    removeSnapshot: (moref, cancel) =>
      call('removeSnapshot', cancel, () => {
        const { vm } = ofSnapshot(moref)
        vm.snapshots = vm.snapshots.filter((snapshot) => snapshot.moref !== moref)
      }),
    consolidate: (moref, cancel) =>
      call('consolidate', cancel, () => {
        find(moref).consolidationNeeded = false
      }),
    setChangeTracking: (request, cancel) =>
      call('setChangeTracking', cancel, () => {
        const vm = find(request.vm)
        vm.tracking = request.enabled
        vm.trackingReal = false
      }),
    changedAreas: (query, cancel) =>
      call('changedAreas', cancel, () => changedAreas(find(query.vm), ofSnapshot(query.snapshot).snapshot, query)),
    captureConfig: (request, cancel) => call('captureConfig', cancel, () => configOf(find(request.vm))),
    createVm: () =>
      Promise.reject(new BackupError('Cannot create a VM in an in-memory vCenter', { code: 'unsupported' })),
    runningTasks: (moref, cancel) =>
      call('runningTasks', cancel, () => find(moref).runningTasks.map((name) => ({ name, startedAt: null }))),
  }
}

function missing(code: string, moref: Moref): never {
  throw new BackupError(`Cannot find "${moref}"`, { code })
}

function findSnapshot(
  vms: readonly MemoryVm[],
  moref: Moref,
): { readonly vm: MemoryVm; readonly snapshot: Snapshot } | null {
  for (const vm of vms) {
    const snapshot = vm.snapshots.find((each) => each.moref === moref)
    if (snapshot !== undefined) return { vm, snapshot }
  }
  return null
}

function createSnapshot(
  vm: MemoryVm,
  request: {
    readonly name: string
    readonly description: string
    readonly quiesce: { readonly kind: string }
    readonly atMs: number
  },
): Moref {
  if (vm.tracking) vm.trackingReal = true
  vm.epoch++
  const moref = parseMoref(`snapshot-${vm.moref}-${vm.epoch}`)
  const frozen = vm.disks
    .filter((disk) => disk.mode === 'persistent')
    .map((disk) => ({
      key: disk.key,
      bytes: disk.bytes.slice(),
      changeId: vm.trackingReal ? `${vm.chain}/${vm.epoch}` : null,
      fileName: fileNameOf(vm, disk),
    }))
  vm.snapshots.push({
    moref,
    name: request.name,
    description: request.description,
    quiesced: request.quiesce.kind !== 'none',
    atMs: request.atMs,
    frozen,
  })
  return moref
}

/** Blocks written since the epoch of `changeId` and before the snapshot's own. */
function changedAreas(
  vm: MemoryVm,
  snapshot: Snapshot,
  query: { readonly deviceKey: number; readonly startOffset: number; readonly changeId: string },
): { readonly startOffset: number; readonly length: number; readonly areas: readonly Extent[] } {
  const disk = vm.disks.find((each) => each.key === query.deviceKey)
  const frozen = snapshot.frozen.find((each) => each.key === query.deviceKey)
  const [chain, since] = query.changeId.split('/')
  const until = Number(frozen?.changeId?.split('/')[1])
  if (
    disk === undefined ||
    frozen === undefined ||
    frozen.changeId === null ||
    chain !== vm.chain ||
    since === undefined
  ) {
    throw new BackupError(`Cannot list changed areas since "${query.changeId}"`, {
      code: 'cbt-unavailable',
      retry: 'as-full',
    })
  }
  const capacityBytes = frozen.bytes.byteLength
  const blocks = [...disk.changedAt]
    .filter(([, epoch]) => epoch >= Number(since) && epoch < until)
    .map(([block]) => block * BLOCK_BYTES)
  const extents = mergeExtents(
    blocks
      .filter((offset) => offset < capacityBytes)
      .map((offsetBytes) => ({ offsetBytes, lengthBytes: Math.min(BLOCK_BYTES, capacityBytes - offsetBytes) })),
  ).filter((extent) => extent.offsetBytes >= query.startOffset)
  const areas = extents.slice(0, AREAS_MAX)
  const next = extents[AREAS_MAX]
  const end = next === undefined ? capacityBytes : next.offsetBytes
  return { startOffset: query.startOffset, length: end - query.startOffset, areas }
}

function fileNameOf(vm: MemoryVm, disk: MemoryDisk): string {
  const suffix = disk.key === 2000 ? '' : `_${disk.key - 2000}`
  return `[ds1] ${vm.name}/${vm.name}${suffix}.vmdk`
}

function diskOf(vm: MemoryVm, frozen: Frozen): VmDisk {
  const disk = vm.disks.find((each) => each.key === frozen.key)
  return {
    key: frozen.key,
    label: `Hard disk ${frozen.key - 1999}`,
    capacityBytes: frozen.bytes.byteLength,
    controllerKey: 1000,
    unitNumber: frozen.key - 2000,
    mode: disk?.mode ?? 'persistent',
    backing: 'flat',
    fileName: frozen.fileName,
    parents: [],
    uuid: `6000C29-${vm.moref}-${frozen.key}-${disk?.generation ?? 0}`,
    changeId: frozen.changeId,
    thin: true,
    encrypted: false,
    sharing: false,
  }
}

/** The running VM's disks: deltas above the frozen files while a snapshot exists. */
function liveDisks(vm: MemoryVm): readonly VmDisk[] {
  return vm.disks.map((disk) => {
    const base = fileNameOf(vm, disk)
    const live = diskOf(vm, { key: disk.key, bytes: disk.bytes, changeId: null, fileName: base })
    if (vm.snapshots.length === 0 || disk.mode !== 'persistent') return live
    return { ...live, fileName: base.replace(/\.vmdk$/, '-000001.vmdk'), parents: [base] }
  })
}

function vmIdOf(vm: MemoryVm) {
  const hash = createHash('sha256').update(vm.moref).digest('hex')
  return parseVmId(
    `${hash.slice(0, 8)}-${hash.slice(8, 12)}-${hash.slice(12, 16)}-${hash.slice(16, 20)}-${hash.slice(20, 32)}`,
  )
}

function summaryOf(vm: MemoryVm) {
  return {
    moref: vm.moref,
    vmId: vmIdOf(vm),
    name: vm.name,
    folder: '/DC/Servers',
    datacenter: 'DC',
    cluster: 'C1',
    host: 'esx-1',
    resourcePool: 'Resources',
    datastores: ['ds1'],
    tags: [],
    template: vm.template,
    powerState: vm.powerState,
  }
}

function stateOf(vm: MemoryVm): VmState {
  return {
    moref: vm.moref,
    vmId: vmIdOf(vm),
    name: vm.name,
    powerState: vm.powerState,
    connectionState: 'connected',
    template: vm.template,
    hardwareVersion: 'vmx-19',
    changeTrackingEnabled: vm.tracking,
    changeTrackingSupported: vm.trackingSupported,
    consolidationNeeded: vm.consolidationNeeded,
    faultTolerant: false,
    host: parseMoref('host-1'),
    datacenter: 'DC',
    guest: { family: 'linux', toolsRunning: vm.toolsRunning, hostName: vm.name, ipAddresses: [] },
    disks: liveDisks(vm),
    snapshots: treeOf(vm.snapshots),
  }
}

/** Each snapshot is the child of the one before it. */
function treeOf(snapshots: readonly Snapshot[]): readonly VmSnapshot[] {
  const [first, ...rest] = snapshots
  if (first === undefined) return []
  const { moref, name, description, quiesced, atMs } = first
  return [{ moref, name, description, quiesced, createdAt: new Date(atMs).toISOString(), children: treeOf(rest) }]
}

function configOf(vm: MemoryVm): VmConfig {
  return {
    name: vm.name,
    vmId: vmIdOf(vm),
    biosUuid: vmIdOf(vm),
    annotation: '',
    hardwareVersion: 'vmx-19',
    guestId: 'debian11_64Guest',
    guestFullName: 'Debian GNU/Linux 11 (64-bit)',
    firmware: 'efi',
    secureBoot: false,
    cpus: 2,
    coresPerSocket: 1,
    memoryMB: 1024,
    folder: '/DC/Servers',
    resourcePool: 'Resources',
    extraConfig: {},
    controllers: [{ key: 1000, type: 'ParaVirtualSCSIController', busNumber: 0, sharedBus: null }],
    nics: [],
    disks: liveDisks(vm),
    otherDevices: [],
    vmx: null,
    nvramBase64: null,
    missing: [],
  }
}
