// The descriptor text of a simulated disk's layer. Form: VMware, "Virtual Disk Format 1.1", section "The Descriptor File".

import { basename } from 'node:path/posix'
import type { Disk, Layer } from './disk.ts'

export function descriptorText(disk: Disk, layer: Layer): string {
  const { extentPath } = disk.pathsOf(layer)
  const sectors = disk.capacityBytes / 512
  const parent = layer.parent
  const lines = [
    '# Disk DescriptorFile',
    'version=1',
    'encoding="UTF-8"',
    `CID=${layer.contentId}`,
    `parentCID=${parent?.contentId ?? 'ffffffff'}`,
    'isNativeSnapshot="no"',
    `createType="${createType(disk, layer)}"`,
    ...(parent === null ? [] : [`parentFileNameHint="${basename(disk.pathsOf(parent).descriptorPath)}"`]),
    '',
    '# Extent description',
    `RW ${sectors} ${extentType(disk, layer)} "${basename(extentPath)}"`,
    '',
    ...trackFile(disk, layer),
    '# The Disk Data Base',
    '#DDB',
    '',
    ...(parent === null ? geometry(disk) : []),
    `ddb.longContentID = "${layer.contentId.repeat(4)}"`,
  ]
  return `${lines.join('\n')}\n`
}

/** ddb.uuid's print ("60 00 C2 9a …") of a backing uuid ("6000C29a-…"). */
export function spacedUuid(uuid: string): string {
  const pairs = uuid.replaceAll('-', '').match(/../g) ?? []
  return `${pairs.slice(0, 8).join(' ')}-${pairs.slice(8).join(' ')}`
}

function createType(disk: Disk, layer: Layer): string {
  if (layer.number > 0) return 'vmfsSparse'
  if (disk.rdm === 'physicalMode') return 'vmfsPassthroughRawDeviceMap'
  return disk.rdm === 'virtualMode' ? 'vmfsRawDeviceMap' : 'vmfs'
}

function extentType(disk: Disk, layer: Layer): string {
  if (layer.number > 0) return 'VMFSSPARSE'
  return disk.rdm === null ? 'VMFS' : 'VMFSRDM'
}

function trackFile(disk: Disk, layer: Layer): readonly string[] {
  if (disk.changeId === null) return []
  const { descriptorPath } = disk.pathsOf(layer)
  return ['# Change Tracking File', `changeTrackPath="${basename(descriptorPath, '.vmdk')}-ctk.vmdk"`, '']
}

function geometry(disk: Disk): readonly string[] {
  const cylinders = Math.max(1, Math.floor(disk.capacityBytes / 512 / 255 / 63))
  return [
    'ddb.adapterType = "lsilogic"',
    `ddb.geometry.cylinders = "${cylinders}"`,
    'ddb.geometry.heads = "255"',
    'ddb.geometry.sectors = "63"',
    ...(disk.thin ? ['ddb.thinProvisioned = "1"'] : []),
    `ddb.uuid = "${spacedUuid(disk.options.uuid)}"`,
    'ddb.virtualHWVersion = "19"',
  ]
}
