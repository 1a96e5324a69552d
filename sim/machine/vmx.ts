// The .vmx text of a simulated machine: the keys that ESXi writes and that libvirt's parser wants.

import { basename } from 'node:path/posix'
import type { Disk } from './disk.ts'
import { parseDatastorePath } from './paths.ts'
import type { SimConfig, SimController, SimNic } from './types.ts'

export function vmxText(options: {
  readonly config: SimConfig
  readonly disks: readonly Disk[]
  readonly changeTracking: boolean
}): string {
  const { config, disks } = options
  const entries = new Map<string, string>([
    ['.encoding', 'UTF-8'],
    ['config.version', '8'],
    ['virtualHW.version', config.version.replace(/^vmx-0*/, '')],
    ['displayName', config.name],
    ['annotation', config.annotation],
    ['guestOS', guestOs(config.guestId)],
    ['nvram', config.nvramFile],
    ['firmware', config.firmware],
    ['uefi.secureBoot.enabled', config.secureBoot ? 'TRUE' : 'FALSE'],
    ['numvcpus', String(config.cpus)],
    ['cpuid.coresPerSocket', String(config.coresPerSocket)],
    ['memSize', String(config.memoryMB)],
    ['uuid.bios', vmxUuid(config.biosUuid)],
    ['vc.uuid', vmxUuid(config.instanceUuid)],
    ['uuid.location', vmxUuid(config.biosUuid)],
    ['pciBridge0.present', 'TRUE'],
    ['vmci0.present', 'TRUE'],
    ['powerType.powerOff', 'default'],
    ['ctkEnabled', options.changeTracking ? 'TRUE' : 'FALSE'],
  ])
  const put = (pairs: readonly (readonly [string, string])[]) => {
    for (const [key, value] of pairs) entries.set(key, value)
  }
  for (const controller of config.controllers) put(controllerKeys(controller))
  for (const disk of disks) put(diskKeys(disk, { config, changeTracking: options.changeTracking }))
  for (const [index, nic] of config.nics.entries()) put(nicKeys(nic, index))
  put(Object.entries(config.extraConfig))
  if (config.annotation === '') entries.delete('annotation')
  if (config.firmware === 'bios') entries.delete('uefi.secureBoot.enabled')
  return [...entries].map(([key, value]) => `${key} = "${escaped(value)}"\n`).join('')
}

function controllerKeys(controller: SimController): readonly (readonly [string, string])[] {
  const prefix = busPrefix(controller)
  if (controller.type === 'VirtualAHCIController') return [[`${prefix}.present`, 'TRUE']]
  const virtualDev = controller.type === 'ParaVirtualSCSIController' ? 'pvscsi' : 'lsilogic'
  return [
    [`${prefix}.present`, 'TRUE'],
    [`${prefix}.virtualDev`, virtualDev],
    [`${prefix}.sharedBus`, 'none'],
  ]
}

function diskKeys(
  disk: Disk,
  options: { readonly config: SimConfig; readonly changeTracking: boolean },
): readonly (readonly [string, string])[] {
  const controller = options.config.controllers.find((one) => one.deviceKey === disk.controllerKey)
  if (controller === undefined) return []
  const prefix = `${busPrefix(controller)}:${disk.unitNumber}`
  const path = disk.pathsOf(disk.active).descriptorPath
  const home = parseDatastorePath(options.config.vmPathName)?.datastore
  const fileName =
    home === disk.datastore ? basename(path) : `/vmfs/volumes/${disk.datastore}/${parseDatastorePath(path)?.path ?? ''}`
  return [
    [`${prefix}.present`, 'TRUE'],
    [`${prefix}.deviceType`, 'scsi-hardDisk'],
    [`${prefix}.fileName`, fileName],
    ...(disk.covered ? [[`${prefix}.ctkEnabled`, options.changeTracking ? 'TRUE' : 'FALSE'] as const] : []),
    ...(disk.mode === 'persistent' ? [] : [[`${prefix}.mode`, disk.mode.replaceAll('_', '-')] as const]),
  ]
}

function nicKeys(nic: SimNic, index: number): readonly (readonly [string, string])[] {
  const prefix = `ethernet${index}`
  return [
    [`${prefix}.present`, 'TRUE'],
    [`${prefix}.virtualDev`, nic.type === 'VirtualVmxnet3' ? 'vmxnet3' : 'e1000e'],
    [`${prefix}.networkName`, nic.network],
    [`${prefix}.addressType`, 'vpx'],
    [`${prefix}.generatedAddress`, nic.macAddress],
    [`${prefix}.startConnected`, nic.connected ? 'TRUE' : 'FALSE'],
  ]
}

function busPrefix(controller: SimController): string {
  return `${controller.type === 'VirtualAHCIController' ? 'sata' : 'scsi'}${controller.busNumber}`
}

/** "ubuntu64Guest" is "ubuntu-64" in a .vmx, "otherLinux64Guest" "otherlinux-64", "windows2019srv_64Guest" "windows2019srv-64". */
function guestOs(guestId: string): string {
  return guestId
    .replace(/Guest$/, '')
    .replace(/_?64$/, '-64')
    .toLowerCase()
}

/** "56 4d 00 … -… " as a .vmx prints a uuid. */
function vmxUuid(uuid: string): string {
  const pairs = uuid.replaceAll('-', '').toLowerCase().match(/../g) ?? []
  return `${pairs.slice(0, 8).join(' ')}-${pairs.slice(8).join(' ')}`
}

/** A .vmx writes a quote, a bar and a line end as "|" and two hex digits. */
function escaped(value: string): string {
  return value.replace(/["|\n\r]/g, (one) => `|${one.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
