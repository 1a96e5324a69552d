// Datastores and networks.

import { createHash } from 'node:crypto'
import { MiB } from '../../../lib/base/bytes.ts'
import { type Data, data, ref, type Value } from '../../soap/value.ts'
import type { Front } from '../front.ts'
import type { DatastoreEntity, Entity, NetworkEntity } from '../world.ts'

type Properties = Readonly<Record<string, () => Value | null>>

const FILE_BYTES_MAX = 64 * 1024 ** 4

export function datastoreProperties(front: Front, entity: DatastoreEntity): Properties {
  const { datastore } = entity
  return {
    info: () => datastoreDetail(front, entity),
    summary: () =>
      data('DatastoreSummary', {
        datastore: entity.ref,
        name: datastore.name,
        url: urlOf(entity),
        capacity: datastore.capacityBytes,
        freeSpace: datastore.freeBytes(),
        uncommitted: 0,
        accessible: true,
        multipleHostAccess: true,
        type: datastore.type,
        maintenanceMode: 'normal',
      }),
    host: () =>
      hostsNear(front, entity).map((host) =>
        data('DatastoreHostMount', {
          key: host.ref,
          mountInfo: data('HostMountInfo', {
            path: `/vmfs/volumes/${volumeId(datastore.name)}`,
            accessMode: 'readWrite',
            mounted: true,
            accessible: true,
          }),
        }),
      ),
    vm: () =>
      front.world
        .machines()
        .filter(({ machine }) => datastoreNames(machine).has(datastore.name))
        .map((each) => each.ref),
    browser: () => ref('HostDatastoreBrowser', `datastoreBrowser-${entity.ref.id}`),
    capability: () =>
      data('DatastoreCapability', {
        directoryHierarchySupported: true,
        rawDiskMappingsSupported: datastore.type === 'VMFS',
        perFileThinProvisioningSupported: true,
        storageIORMSupported: true,
        nativeSnapshotSupported: false,
        topLevelDirectoryCreateSupported: true,
        seSparseSupported: true,
        vmfsSparseSupported: datastore.type !== 'vsan',
        vsanSparseSupported: datastore.type === 'vsan',
        upitSupported: true,
      }),
  }
}

export function networkProperties(front: Front, entity: NetworkEntity): Properties {
  return {
    summary: () => data('NetworkSummary', { network: entity.ref, name: entity.name, accessible: true, ipPoolName: '' }),
    host: () => hostsNear(front, entity).map((host) => host.ref),
    vm: () =>
      front.world
        .machines()
        .filter(
          ({ machine, place }) =>
            place.datacenter === front.world.datacenterOf(entity)?.name &&
            machine.config.nics.some((nic) => nic.network === entity.name),
        )
        .map((each) => each.ref),
  }
}

/** The datastores of a machine's home and of its disks. */
export function datastoreNames(machine: {
  readonly config: { readonly vmPathName: string }
  readonly disks: readonly { readonly datastore: string }[]
}): ReadonlySet<string> {
  const home = /^\[([^\]]+)\]/.exec(machine.config.vmPathName)?.[1]
  return new Set([...(home === undefined ? [] : [home]), ...machine.disks.map((disk) => disk.datastore)])
}

export function urlOf(entity: DatastoreEntity): string {
  return `ds:///vmfs/volumes/${volumeId(entity.datastore.name)}/`
}

function datastoreDetail(front: Front, entity: DatastoreEntity): Data {
  const { datastore } = entity
  const shared = {
    name: datastore.name,
    url: urlOf(entity),
    freeSpace: datastore.freeBytes(),
    maxFileSize: FILE_BYTES_MAX,
    maxVirtualDiskCapacity: 62 * 1024 ** 4,
    maxMemoryFileSize: FILE_BYTES_MAX,
    timestamp: new Date(front.clock.nowMs()),
  }
  const volume = { name: datastore.name, capacity: datastore.capacityBytes }
  if (datastore.type === 'NFS') {
    const nas = data('HostNasVolume', { type: 'NFS', ...volume, remoteHost: '127.0.0.1', remotePath: '/export' })
    return data('NasDatastoreInfo', { ...shared, nas })
  }
  if (datastore.type === 'vsan') return data('DatastoreInfo', shared)
  return data('VmfsDatastoreInfo', {
    ...shared,
    maxPhysicalRDMFileSize: FILE_BYTES_MAX,
    maxVirtualRDMFileSize: 62 * 1024 ** 4,
    vmfs: data('HostVmfsVolume', {
      type: 'VMFS',
      ...volume,
      blockSizeMb: 1,
      maxBlocks: Math.floor(datastore.capacityBytes / MiB),
      majorVersion: 6,
      version: '6.82',
      uuid: volumeId(datastore.name),
      extent: [
        data('HostScsiDiskPartition', { diskName: `naa.6000${volumeId(datastore.name).slice(0, 8)}`, partition: 1 }),
      ],
      vmfsUpgradable: false,
      ssd: true,
      local: false,
    }),
  })
}

function hostsNear(front: Front, entity: Entity): readonly Entity[] {
  const datacenter = front.world.datacenterOf(entity)
  return front.world.entities().filter((each) => each.kind === 'host' && front.world.datacenterOf(each) === datacenter)
}

/** The last part of a datastore's URL. */
export function volumeId(name: string): string {
  const hex = createHash('sha256').update(`volume ${name}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
}
