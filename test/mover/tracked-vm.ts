// A VM of tests: disks as byte arrays that can be written, snapshots that freeze them, and changed block tracking that
// answers as vSphere does (QueryChangedDiskAreas: at most 2,000 areas a reply). Lies and refuses on request.

import { BackupError } from '../../lib/base/errors.ts'
import type { Extent } from '../../lib/model/extent.ts'
import { type Moref, parseMoref, parseVmId } from '../../lib/model/ids.ts'
import type { VmConfig, VmDisk } from '../../lib/model/vm.ts'
import type { DiskRequest } from '../../lib/ports/transport.ts'
import type { ChangedAreas, Vsphere, VsphereSession } from '../../lib/ports/vsphere.ts'

const AREAS_MAX = 2_000

type LiveDisk = {
  bytes: Uint8Array
  uuid: string
  fileName: string
  cbtUuid: string
  counter: number
  blocks: Map<number, number>
}
type FrozenDisk = { readonly bytes: Uint8Array; readonly blocks: ReadonlyMap<number, number>; readonly disk: VmDisk }

export type TrackedVm = ReturnType<typeof trackedVm>

/** @param options.blockBytes what changes are tracked by; 64 KiB, or less as newer hosts do */
export function trackedVm(options: { readonly tracking?: boolean; readonly blockBytes?: number } = {}) {
  const blockBytes = options.blockBytes ?? 65_536
  const live = new Map<number, LiveDisk>()
  const snapshots = new Map<string, Map<number, FrozenDisk>>()
  const behaviour = {
    tracking: options.tracking ?? true,
    failQuery: null as ((query: Query) => BackupError | null) | null,
    queries: 0,
  }
  let made = 0

  const diskOf = (key: number): LiveDisk => {
    const disk = live.get(key)
    if (disk === undefined) throw new Error(`no disk ${key}`)
    return disk
  }
  const describe = (key: number, disk: LiveDisk): VmDisk => ({
    key,
    label: `Hard disk ${key - 1999}`,
    capacityBytes: disk.bytes.byteLength,
    controllerKey: 1000,
    unitNumber: key - 2000,
    mode: 'persistent',
    backing: 'flat',
    fileName: disk.fileName,
    parents: [],
    uuid: disk.uuid,
    changeId: behaviour.tracking ? `${disk.cbtUuid}/${disk.counter}` : null,
    thin: true,
    encrypted: false,
    sharing: false,
  })

  return {
    behaviour,
    addDisk: (key: number, capacityBytes: number) => {
      made++
      live.set(key, {
        bytes: new Uint8Array(capacityBytes),
        uuid: `uuid-${key}-${made}`,
        fileName: `[ds] vm/vm_${key}.vmdk`,
        cbtUuid: `52 ${key} ${made}`,
        counter: 1,
        blocks: new Map(),
      })
    },
    keys: (): readonly number[] => [...live.keys()],
    removeDisk: (key: number) => void live.delete(key),
    /** The same disk at another place of its controller. */
    rehang: (key: number, newKey: number) => {
      live.set(newKey, diskOf(key))
      live.delete(key)
    },
    /** Its files lie elsewhere; what tracks its changes goes along. */
    relocate: (key: number, datastore: string) => {
      const disk = diskOf(key)
      disk.fileName = disk.fileName.replace(/^\[[^\]]*\]/, `[${datastore}]`)
    },
    /** Grows (the tail reads zero and is not tracked as changed) or shrinks. */
    resize: (key: number, capacityBytes: number) => {
      const disk = diskOf(key)
      const bytes = new Uint8Array(capacityBytes)
      bytes.set(disk.bytes.subarray(0, capacityBytes))
      disk.bytes = bytes
    },
    write: (key: number, offsetBytes: number, bytes: Uint8Array) => {
      const disk = diskOf(key)
      disk.bytes.set(bytes, offsetBytes)
      const last = Math.floor((offsetBytes + bytes.byteLength - 1) / blockBytes)
      for (let block = Math.floor(offsetBytes / blockBytes); block <= last; block++)
        disk.blocks.set(block, disk.counter)
    },
    /** The guest writes, and tracking never hears of it. */
    writeUnseen: (key: number, offsetBytes: number, bytes: Uint8Array) => diskOf(key).bytes.set(bytes, offsetBytes),
    resetTracking: (key: number) => {
      made++
      const disk = diskOf(key)
      disk.cbtUuid = `52 ${key} ${made}`
      disk.counter = 1
      disk.blocks = new Map()
    },
    /** What a revert does that keeps the tracking's uuid. */
    revert: (key: number, { bytes, counter }: { readonly bytes: Uint8Array; readonly counter: number }) => {
      const disk = diskOf(key)
      disk.bytes = bytes.slice()
      disk.counter = counter
      disk.blocks = new Map()
    },
    bytesOf: (key: number): Uint8Array => diskOf(key).bytes,
    /** Freezes every disk; later writes count as changes since. */
    snapshot: (): {
      readonly snapshot: Moref
      readonly disks: readonly VmDisk[]
      readonly images: ReadonlyMap<number, Uint8Array>
    } => {
      const snapshot = parseMoref(`snapshot-${snapshots.size + 1}`)
      const frozen = new Map<number, FrozenDisk>()
      for (const [key, disk] of live) {
        disk.counter++
        frozen.set(key, { bytes: disk.bytes.slice(), blocks: new Map(disk.blocks), disk: describe(key, disk) })
      }
      snapshots.set(snapshot, frozen)
      const images = new Map([...frozen].map(([key, disk]) => [key, disk.bytes]))
      return { snapshot, disks: [...frozen.values()].map(({ disk }) => disk), images }
    },
    /** For memoryTransport(). */
    frozenBytes: (request: DiskRequest): Uint8Array | null =>
      snapshots.get(request.snapshot)?.get(request.disk.key)?.bytes ?? null,
    vsphere: vsphereOf((query) => {
      behaviour.queries++
      const failure = behaviour.failQuery?.(query) ?? null
      if (failure !== null) throw failure
      const frozen = snapshots.get(query.snapshot)?.get(query.deviceKey)
      if (frozen === undefined) throw new BackupError('No such snapshot or disk', { code: 'snapshot-not-found' })
      return answer(frozen, { ...query, blockBytes })
    }),
  }
}

type Query = Parameters<VsphereSession['changedAreas']>[0]

function answer(frozen: FrozenDisk, query: Query & { readonly blockBytes: number }): ChangedAreas {
  const { blockBytes } = query
  const capacity = frozen.bytes.byteLength
  if (query.startOffset >= capacity)
    throw new BackupError('A specified parameter was not correct: startOffset', { code: 'cbt-unavailable' })
  const since = Number(query.changeId.split('/')[1])
  const areas: Extent[] = []
  let length = capacity - query.startOffset
  for (const block of [...frozen.blocks.keys()].toSorted((a, b) => a - b)) {
    if ((frozen.blocks.get(block) ?? 0) < since || (block + 1) * blockBytes <= query.startOffset) continue
    if (block * blockBytes >= capacity) continue
    if (areas.length === AREAS_MAX) {
      length = block * blockBytes - query.startOffset
      break
    }
    const start = Math.max(block * blockBytes, query.startOffset)
    areas.push({ offsetBytes: start, lengthBytes: Math.min((block + 1) * blockBytes, capacity) - start })
  }
  return { startOffset: query.startOffset, length, areas }
}

function vsphereOf(changedAreas: (query: Query) => ChangedAreas): Vsphere {
  const unused = async (): Promise<never> => {
    throw new Error('the mover does not call this')
  }
  return {
    open: async () => ({
      about: { fullName: 'test', apiVersion: '8.0', instanceUuid: 'vcenter-1' },
      listVms: unused,
      readVm: unused,
      readSnapshot: unused,
      createSnapshot: unused,
      removeSnapshot: unused,
      removeAllSnapshots: unused,
      readSnapshotGrowth: unused,
      surveySnapshots: unused,
      consolidate: unused,
      setChangeTracking: unused,
      captureConfig: unused,
      createVm: unused,
      detachDisks: unused,
      currentTime: unused,
      readHost: unused,
      readDatastores: unused,
      readAlarmEvents: unused,
      readLatency: unused,
      missingPrivileges: unused,
      runningTasks: unused,
      openGuest: unused,
      readVssManifest: unused,
      changedAreas: async (query) => changedAreas(query),
      [Symbol.asyncDispose]: async () => undefined,
    }),
  }
}

export const VM_ID = parseVmId('50000000-0000-4000-8000-000000000001')

export function vmConfig(disks: readonly VmDisk[]): VmConfig {
  return {
    name: 'db-1',
    vmId: VM_ID,
    biosUuid: '42000000-0000-4000-8000-000000000001',
    annotation: '',
    hardwareVersion: 'vmx-19',
    guestId: 'debian11_64Guest',
    guestFullName: 'Debian',
    firmware: 'efi',
    secureBoot: false,
    cpus: 2,
    coresPerSocket: 1,
    memoryMB: 1024,
    folder: '/DC/lab',
    resourcePool: null,
    extraConfig: {},
    controllers: [{ key: 1000, type: 'ParaVirtualSCSIController', busNumber: 0, sharedBus: 'noSharing' }],
    nics: [],
    disks,
    otherDevices: [],
    vmx: null,
    nvramBase64: null,
    missing: [],
  }
}
