// A machine's files on its datastores: layout, layoutEx and storage use.

import type { SimLayer } from '../../machine/types.ts'
import { type Data, data } from '../../soap/value.ts'
import type { Front } from '../front.ts'
import { allSnapshots, type MachineEntity } from '../world.ts'

export function fileLayout(front: Front, entity: MachineEntity): Data {
  const { machine } = entity
  return data('VirtualMachineFileLayout', {
    configFile: [baseName(machine.config.vmPathName), baseName(machine.config.nvramFile)],
    disk: machine.disks.map((disk) =>
      data('VirtualMachineFileLayoutDiskLayout', {
        key: disk.deviceKey,
        diskFile: disk.chain().map((layer) => layer.descriptorPath),
      }),
    ),
    snapshot: allSnapshots(machine).map((snapshot) =>
      data('VirtualMachineFileLayoutSnapshotLayout', { key: front.world.snapshotRef(snapshot), snapshotFile: [] }),
    ),
  })
}

export function fileLayoutEx(front: Front, entity: MachineEntity): Data {
  const { machine } = entity
  const files = openFiles(front)
  files.keyOf(machine.config.vmPathName, 'config')
  files.keyOf(besides(machine.config.vmPathName, machine.config.nvramFile), 'nvram')
  const unit = (layer: SimLayer) =>
    data('VirtualMachineFileLayoutExDiskUnit', {
      fileKey: [files.keyOf(layer.descriptorPath, 'diskDescriptor'), files.keyOf(layer.extentPath, 'diskExtent')],
    })
  const chainOf = (deviceKey: number, layers: readonly SimLayer[]) =>
    data('VirtualMachineFileLayoutExDiskLayout', { key: deviceKey, chain: layers.map(unit) })
  const disk = machine.disks.map((each) => chainOf(each.deviceKey, each.chain()))
  const snapshot = allSnapshots(machine).map((each) =>
    data('VirtualMachineFileLayoutExSnapshotLayout', {
      key: front.world.snapshotRef(each),
      dataKey: -1,
      memoryKey: -1,
      disk: each.disks.map((own) => chainOf(own.deviceKey, own.chain)),
    }),
  )
  const timestamp = new Date(Math.floor(front.clock.nowMs() / 60_000) * 60_000)
  return data('VirtualMachineFileLayoutEx', { file: files.all(), disk, snapshot, timestamp })
}

/** VirtualMachineStorageInfo, by datastore. */
export function storageUse(front: Front, entity: MachineEntity): Data {
  const perDatastore = new Map<string, number>()
  for (const disk of entity.machine.disks) {
    perDatastore.set(disk.datastore, (perDatastore.get(disk.datastore) ?? 0) + disk.capacityBytes)
  }
  const stores = front.world.entities().filter((each) => each.kind === 'datastore')
  return data('VirtualMachineStorageInfo', {
    perDatastoreUsage: stores
      .filter(({ name }) => perDatastore.has(name))
      .map(({ ref, name }) => {
        const bytes = perDatastore.get(name) ?? 0
        return data('VirtualMachineUsageOnDatastore', {
          datastore: ref,
          committed: bytes,
          uncommitted: 0,
          unshared: bytes,
        })
      }),
    timestamp: new Date(Math.floor(front.clock.nowMs() / 60_000) * 60_000),
  })
}

/** Numbers files in the order they are named first. */
function openFiles(front: Front) {
  const files = new Map<string, Data>()
  return {
    all: () => [...files.values()],
    keyOf: (path: string, type: string): number => {
      const known = files.get(path)?.fields['key']
      if (typeof known === 'number') return known
      const key = files.size
      const size = sizeOf(front, path)
      files.set(
        path,
        data('VirtualMachineFileLayoutExFileInfo', { key, name: path, type, size, uniqueSize: size, accessible: true }),
      )
      return key
    },
  }
}

function sizeOf(front: Front, path: string): number {
  const match = /^\[([^\]]+)\] (.*)$/.exec(path)
  const datastore = front.world.estate.datastores.find(({ name }) => name === match?.[1])
  return datastore?.file(match?.[2] ?? '')?.sizeBytes ?? 0
}

/** A datastore path of a file that may be named relative to the folder of another. */
export function besides(path: string, file: string): string {
  return file.startsWith('[') ? file : `${path.slice(0, path.lastIndexOf('/') + 1)}${file}`
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
