// VirtualDevice records -> disks, controllers, network cards and the rest, as the model describes them.

import { BackupError } from '../../base/errors.ts'
import type { DiskMode, VmController, VmDisk } from '../../model/vm.ts'
import { booleanAt, needed, numberAt, recordAt, textAt, type VimRecord } from './values.ts'

const diskModes: readonly DiskMode[] = [
  'persistent',
  'nonpersistent',
  'undoable',
  'append',
  'independent_persistent',
  'independent_nonpersistent',
]

/** Disk controllers by xsi:type; each can be made again. */
export const diskControllerTypes: ReadonlySet<string> = new Set([
  'ParaVirtualSCSIController',
  'VirtualLsiLogicController',
  'VirtualLsiLogicSASController',
  'VirtualBusLogicController',
  'VirtualAHCIController',
  'VirtualNVMEController',
  'VirtualIDEController',
])

/** Devices that every VM has by itself. */
const builtIn: ReadonlySet<string> = new Set([
  'VirtualPCIController',
  'VirtualPS2Controller',
  'VirtualSIOController',
  'VirtualKeyboard',
  'VirtualPointingDevice',
  'VirtualMachineVideoCard',
  'VirtualMachineVMCIDevice',
])

export function isNic(device: VimRecord): boolean {
  return (
    device.fields.has('macAddress') || /^Virtual(Vmxnet|E1000|PCNet|SriovEthernet|EthernetCard)/.test(device.type ?? '')
  )
}

export function disksOf(devices: readonly VimRecord[]): readonly VmDisk[] {
  const shared = new Set(
    controllersOf(devices)
      .filter(({ sharedBus }) => sharedBus !== null && sharedBus !== 'noSharing')
      .map(({ key }) => key),
  )
  return devices.filter(({ type }) => type === 'VirtualDisk').map((device) => diskOf(device, shared))
}

export function controllersOf(devices: readonly VimRecord[]): readonly VmController[] {
  return devices
    .filter(({ type }) => type !== null && diskControllerTypes.has(type))
    .map((device) => ({
      key: needed(numberAt(device, 'key'), 'device key'),
      type: device.type ?? '',
      busNumber: numberAt(device, 'busNumber') ?? 0,
      sharedBus: textAt(device, 'sharedBus'),
    }))
}

export function otherDevicesOf(
  devices: readonly VimRecord[],
): readonly { readonly key: number; readonly type: string; readonly label: string }[] {
  return devices
    .filter((device) => {
      const type = device.type ?? 'VirtualDevice'
      return type !== 'VirtualDisk' && !isNic(device) && !builtIn.has(type) && !diskControllerTypes.has(type)
    })
    .map((device) => ({
      key: needed(numberAt(device, 'key'), 'device key'),
      type: device.type ?? 'VirtualDevice',
      label: labelOf(device),
    }))
}

export function labelOf(device: VimRecord): string {
  return (
    textAt(recordAt(device, 'deviceInfo'), 'label') ??
    `${device.type ?? 'VirtualDevice'} ${numberAt(device, 'key') ?? '?'}`
  )
}

function diskOf(device: VimRecord, sharedControllers: ReadonlySet<number>): VmDisk {
  const key = needed(numberAt(device, 'key'), 'device key')
  const backing = recordAt(device, 'backing')
  const controllerKey = numberAt(device, 'controllerKey') ?? 0
  return {
    key,
    label: labelOf(device),
    capacityBytes: capacityOf(device),
    controllerKey,
    unitNumber: numberAt(device, 'unitNumber') ?? 0,
    mode: modeOf(textAt(backing, 'diskMode') ?? 'persistent', key),
    backing: backingKindOf(backing),
    fileName:
      textAt(backing, 'fileName') ?? textAt(backing, 'descriptorFileName') ?? textAt(backing, 'deviceName') ?? '',
    parents: parentsOf(backing),
    uuid: textAt(backing, 'uuid') || null,
    changeId: textAt(backing, 'changeId') || null,
    thin: booleanAt(backing, 'thinProvisioned'),
    encrypted: recordAt(backing, 'keyId') !== null,
    sharing: textAt(backing, 'sharing') === 'sharingMultiWriter' || sharedControllers.has(controllerKey),
  }
}

/** capacityInBytes came with vSphere 5.5; servers that fill in neither cannot be backed up. */
function capacityOf(device: VimRecord): number {
  const bytes = numberAt(device, 'capacityInBytes') ?? 0
  const kilobytes = numberAt(device, 'capacityInKB') ?? 0
  return bytes > 0 ? bytes : kilobytes * 1024
}

function modeOf(text: string, key: number): DiskMode {
  const mode = diskModes.find((known) => known === text)
  if (mode !== undefined) return mode
  throw new BackupError(`Cannot judge disk ${key}: vCenter gives the disk mode "${text}", which is none that we know`, {
    code: 'vcenter-reply-malformed',
    facts: { key, diskMode: text },
  })
}

function backingKindOf(backing: VimRecord | null): VmDisk['backing'] {
  const type = backing?.type ?? ''
  if (/^VirtualDiskFlatVer[12]/.test(type)) return 'flat'
  if (/^VirtualDiskSparseVer/.test(type)) return 'sparse'
  if (type === 'VirtualDiskSeSparseBackingInfo') return 'sesparse'
  if (/RawDisk/.test(type))
    return textAt(backing, 'compatibilityMode') === 'virtualMode' ? 'rdm-virtual' : 'rdm-physical'
  return 'other'
}

function parentsOf(backing: VimRecord | null): readonly string[] {
  const names: string[] = []
  for (let parent = recordAt(backing, 'parent'); parent !== null; parent = recordAt(parent, 'parent')) {
    names.push(textAt(parent, 'fileName') ?? '')
  }
  return names
}
