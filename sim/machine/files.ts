// The files of a simulated machine as its datastores show them: extents, descriptors, .vmx, .vmsd and .nvram.

import { utf8Encode } from '../../lib/base/bytes.ts'
import { type CowdExtent, cowdExtent } from './cowd.ts'
import { descriptorText } from './descriptor.ts'
import type { Disk, Layer } from './disk.ts'
import type { Machine } from './machine.ts'
import { homeOf, stemOf } from './paths.ts'
import { SimFault, type SimFile } from './types.ts'
import { vmxText } from './vmx.ts'

export type NamedFile = { readonly path: string; open(): SimFile }

/** Every file of a machine by its datastore path, as of now. */
export function filesOf(machine: Machine): readonly NamedFile[] {
  const { config } = machine
  const stem = stemOf(config.vmPathName)
  const { nvram } = machine
  const vmx = () => vmxText({ config, disks: machine.disks, changeTracking: machine.changeTrackingEnabled })
  return [
    { path: `${stem}.vmx`, open: () => bytesFile(utf8Encode(vmx())) },
    { path: `${stem}.vmsd`, open: () => bytesFile(utf8Encode(vmsdText(machine))) },
    ...(nvram === null ? [] : [{ path: nvramPath(machine), open: () => bytesFile(nvram) }]),
    ...machine.snapshots.flatMap(({ manifestFile: file }) =>
      file === null ? [] : [{ path: file.path, open: () => bytesFile(file.bytes) }],
    ),
    ...machine.allDisks.flatMap((disk) => disk.layers.flatMap((layer) => layerFiles(disk, layer))),
  ]
}

/** Stores an upload that replaces a file of the machine; false when the path is not one that can be replaced. */
export function replaceFile(machine: Machine, file: { readonly path: string; readonly bytes: Uint8Array }): boolean {
  if (file.path !== nvramPath(machine)) return false
  machine.nvram = file.bytes
  return true
}

/** A small file that nobody may write in place. */
export function bytesFile(bytes: Uint8Array): SimFile {
  return {
    sizeBytes: bytes.byteLength,
    writable: false,
    read: ({ offsetBytes, target }) => target.set(bytes.subarray(offsetBytes, offsetBytes + target.byteLength)),
    write: () => {
      throw new SimFault('FileLocked', 'This file is replaced as a whole, not written in place')
    },
  }
}

function nvramPath(machine: Machine): string {
  return `${homeOf(machine.config.vmPathName)}${machine.config.nvramFile}`
}

function layerFiles(disk: Disk, layer: Layer): readonly NamedFile[] {
  const { descriptorPath, extentPath } = disk.pathsOf(layer)
  const descriptor = { path: descriptorPath, open: () => bytesFile(utf8Encode(descriptorText(disk, layer))) }
  if (disk.rdm === 'physicalMode') return [descriptor]
  return [descriptor, { path: extentPath, open: () => extentFile(disk, layer) }]
}

function extentFile(disk: Disk, layer: Layer): SimFile {
  const { extentPath } = disk.pathsOf(layer)
  const locked = (why: string) => new SimFault('FileLocked', why, { file: extentPath })
  const writable = () => disk.isFrozen(layer) && layer === disk.active && layer.parent === null
  const extent = layer.number === 0 ? flatExtent(layer) : cowdExtent(layer.store)
  return {
    sizeBytes: extent.sizeBytes,
    get writable() {
      return writable()
    },
    read: (range) => {
      if (!disk.isFrozen(layer)) throw locked('A running machine writes this file')
      extent.read(range)
    },
    write: (range) => {
      if (!writable()) throw locked('This extent is written by a running machine, or snapshots rest on it')
      disk.write(range)
    },
  }
}

function flatExtent(layer: Layer): CowdExtent {
  return { sizeBytes: layer.store.capacityBytes, read: (range) => layer.store.read(range) }
}

function vmsdText(machine: Machine): string {
  const { snapshots, currentSnapshot } = machine
  const lines = [
    '.encoding = "UTF-8"',
    ...(currentSnapshot === null ? [] : [`snapshot.current = "${currentSnapshot.id}"`]),
    `snapshot.numSnapshots = "${snapshots.length}"`,
    ...snapshots.flatMap((one, index) => [
      `snapshot${index}.uid = "${one.id}"`,
      `snapshot${index}.displayName = "${one.name.replace(/["|\n\r]/g, '_')}"`,
      ...(one.parent === null ? [] : [`snapshot${index}.parent = "${one.parent.id}"`]),
    ]),
  ]
  return `${lines.join('\n')}\n`
}
