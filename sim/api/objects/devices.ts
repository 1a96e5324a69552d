// Virtual devices of a machine's config, live or as a snapshot keeps it.

import type { DiskMode, SimController, SimDisk, SimLayer, SimNic } from '../../machine/types.ts'
import { type Data, data, type Ref } from '../../soap/value.ts'

/** The disk as a config shows it: with a chain whose last layer is the one it points at. */
export type ShownDisk = Omit<SimDisk, 'chain' | 'changeId' | 'content'> & {
  readonly layers: readonly SimLayer[]
  readonly changeId: string | null
}

export type DeviceSources = {
  readonly controllers: readonly SimController[]
  readonly nics: readonly SimNic[]
  readonly disks: readonly ShownDisk[]
  /** By name; null when there is none. */
  readonly datastoreRef: (name: string) => Ref | null
  readonly networkRef: (name: string) => Ref | null
}

const PCI_KEY = 100
const BUILT_IN = [
  { type: 'VirtualIDEController', key: 200, label: 'IDE 0', bus: 0, parent: null },
  { type: 'VirtualIDEController', key: 201, label: 'IDE 1', bus: 1, parent: null },
  { type: 'VirtualPS2Controller', key: 300, label: 'PS2 controller 0', bus: 0, parent: null },
  { type: 'VirtualPCIController', key: PCI_KEY, label: 'PCI controller 0', bus: 0, parent: null },
  { type: 'VirtualSIOController', key: 400, label: 'SIO controller 0', bus: 0, parent: null },
]
const CONTROLLER_LABELS: Readonly<Record<SimController['type'], string>> = {
  ParaVirtualSCSIController: 'SCSI controller',
  VirtualLsiLogicController: 'SCSI controller',
  VirtualAHCIController: 'SATA controller',
}
const CONTROLLER_KINDS: Readonly<Record<SimController['type'], string>> = {
  ParaVirtualSCSIController: 'VMware paravirtual SCSI',
  VirtualLsiLogicController: 'LSI Logic',
  VirtualAHCIController: 'AHCI',
}

export function devicesOf(sources: DeviceSources): readonly Data[] {
  return [
    ...builtIns(sources),
    ...sources.controllers.map((controller) => controllerDevice(controller, sources)),
    ...sources.disks.map((disk) => diskDevice(disk, sources)),
    ...sources.nics.map((nic, index) => nicDevice(nic, { index, networkRef: sources.networkRef })),
  ]
}

function builtIns(sources: DeviceSources): readonly Data[] {
  const controllers = BUILT_IN.map(({ type, key, label, bus }) =>
    data(type, {
      key,
      deviceInfo: described(label, label.replace(/ \d+$/, '')),
      busNumber: bus,
      device: key === PCI_KEY ? [500, ...[...sources.controllers, ...sources.nics].map((each) => each.deviceKey)] : [],
    }),
  )
  const video = data('VirtualMachineVideoCard', {
    key: 500,
    deviceInfo: described('Video card ', 'Video card'),
    controllerKey: PCI_KEY,
    unitNumber: 0,
    videoRamSizeInKB: 4096,
    numDisplays: 1,
    useAutoDetect: false,
    enable3DSupport: false,
  })
  return [...controllers, video]
}

function controllerDevice(controller: SimController, sources: DeviceSources): Data {
  const isScsi = controller.type !== 'VirtualAHCIController'
  return data(controller.type, {
    key: controller.deviceKey,
    deviceInfo: described(
      `${CONTROLLER_LABELS[controller.type]} ${controller.busNumber}`,
      CONTROLLER_KINDS[controller.type],
    ),
    controllerKey: PCI_KEY,
    unitNumber: (isScsi ? 3 : 24) + controller.busNumber,
    busNumber: controller.busNumber,
    device: sources.disks.filter((disk) => disk.controllerKey === controller.deviceKey).map((disk) => disk.deviceKey),
    ...(isScsi ? { hotAddRemove: true, sharedBus: 'noSharing', scsiCtlrUnitNumber: 7 } : {}),
  })
}

function diskDevice(disk: ShownDisk, sources: DeviceSources): Data {
  const kilobytes = disk.capacityBytes / 1024
  return data('VirtualDisk', {
    key: disk.deviceKey,
    deviceInfo: described(disk.label, `${Math.floor(kilobytes).toLocaleString('en-US')} KB`),
    backing: disk.rdm === null ? flatBacking(disk, sources) : mappedBacking(disk, sources),
    controllerKey: disk.controllerKey,
    unitNumber: disk.unitNumber,
    capacityInKB: Math.floor(kilobytes),
    capacityInBytes: disk.capacityBytes,
    shares: data('SharesInfo', { shares: 1000, level: 'normal' }),
    diskObjectId: `${disk.controllerKey}-${disk.deviceKey}`,
  })
}

type Backing = { readonly layer: SimLayer; readonly below: readonly SimLayer[] }

function topOf(layers: readonly SimLayer[]): Backing | null {
  const layer = layers.at(-1)
  return layer === undefined ? null : { layer, below: layers.slice(0, -1) }
}

function flatBacking(disk: ShownDisk, sources: DeviceSources): Data | null {
  const build = (layers: readonly SimLayer[], changeId: string | null): Data | null => {
    const top = topOf(layers)
    if (top === null) return null
    return data('VirtualDiskFlatVer2BackingInfo', {
      fileName: top.layer.descriptorPath,
      datastore: sources.datastoreRef(disk.datastore),
      backingObjectId: '',
      diskMode: shownMode(disk.mode),
      split: false,
      writeThrough: false,
      thinProvisioned: disk.thin,
      eagerlyScrub: disk.thin ? null : false,
      uuid: top.layer.uuid,
      contentId: contentIdOf(top.layer),
      changeId,
      parent: build(top.below, null),
      deltaDiskFormat: top.below.length > 0 ? 'redoLogFormat' : null,
      digestEnabled: false,
      sharing: 'sharingNone',
    })
  }
  return build(disk.layers, disk.changeId)
}

function mappedBacking(disk: ShownDisk, sources: DeviceSources): Data | null {
  const build = (layers: readonly SimLayer[], changeId: string | null): Data | null => {
    const top = topOf(layers)
    if (top === null) return null
    return data('VirtualDiskRawDiskMappingVer1BackingInfo', {
      fileName: top.layer.descriptorPath,
      datastore: sources.datastoreRef(disk.datastore),
      backingObjectId: '',
      lunUuid: `020000000060003ff4${top.layer.uuid.replaceAll('-', '').slice(0, 14)}`,
      deviceName: 'vml.0200000000',
      compatibilityMode: disk.rdm ?? 'virtualMode',
      diskMode: disk.rdm === 'physicalMode' ? 'independent_persistent' : shownMode(disk.mode),
      uuid: top.layer.uuid,
      contentId: contentIdOf(top.layer),
      changeId,
      parent: build(top.below, null),
      sharing: 'sharingNone',
    })
  }
  return build(disk.layers, disk.changeId)
}

function nicDevice(
  nic: SimNic,
  rest: { readonly index: number; readonly networkRef: (name: string) => Ref | null },
): Data {
  return data(nic.type, {
    key: nic.deviceKey,
    deviceInfo: described(`Network adapter ${rest.index + 1}`, nic.network),
    backing: data('VirtualEthernetCardNetworkBackingInfo', {
      deviceName: nic.network,
      useAutoDetect: false,
      network: rest.networkRef(nic.network),
      inPassthroughMode: false,
    }),
    connectable: data('VirtualDeviceConnectInfo', {
      migrateConnect: 'unset',
      startConnected: true,
      allowGuestControl: true,
      connected: nic.connected,
      status: nic.connected ? 'ok' : 'untried',
    }),
    controllerKey: PCI_KEY,
    unitNumber: 7 + rest.index,
    addressType: 'assigned',
    macAddress: nic.macAddress,
    wakeOnLanEnabled: true,
    uptCompatibilityEnabled: nic.type === 'VirtualVmxnet3',
  })
}

function described(label: string, summary: string): Data {
  return data('Description', { label, summary })
}

function contentIdOf(layer: SimLayer): string {
  return layer.contentId.padStart(32, '0')
}

/** VirtualDiskMode: the types of this simulator already use its words. */
function shownMode(mode: DiskMode): string {
  return mode
}
