// Reads an estate's description from a JSON file. Only names and disks must be given; the rest has defaults.

import { readFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { BackupError } from '../../lib/base/errors.ts'
import { TOOLS_STATES } from '../machine/tools.ts'
import {
  type DiskDescription,
  diskOf,
  type EstateDescription,
  type MachineDescription,
  machineOf,
  plainEstate,
  plainPlace,
} from './description.ts'
import { readAccount, readBridge, readTexts, readVss, VSS_KEYS } from './guest-json.ts'
import { JsonObject, type JsonSpot, readJson, textOf } from './json.ts'

const TiB = 1024 ** 4

/** @throws BackupError 'not-found' or 'malformed'; paths of images are taken from the file's directory */
export function readEstateFile(path: string): EstateDescription {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new BackupError(`Cannot read the estate file "${path}"`, { code: 'not-found', kind: 'not-found', cause })
  }
  return parseEstate(text, { name: basename(path), directory: dirname(path) })
}

/**
 * `{"seed": 1, "machines": [{"name": "a", "disks": [{"capacityBytes": 4194304}]}]}`: the keys are those of
 * EstateDescription.
 * @throws BackupError 'malformed' that lists all faults
 */
export function parseEstate(
  text: string,
  options: { readonly name: string; readonly directory: string },
): EstateDescription {
  return readJson({ text, what: `the estate "${options.name}"` }, (root) => {
    const object = new JsonObject(root, { keys: ['seed', 'datacenters', 'datastores', 'machines'] })
    const estate = {
      seed: object.wholeNumber('seed', { low: 0, high: 2 ** 31, fallback: 1 }),
      datacenters: object.list('datacenters', { item: readDatacenter, fallback: plainEstate.datacenters }),
      datastores: object.list('datastores', { item: readDatastore, fallback: plainEstate.datastores }),
    }
    const machines = object.list('machines', { item: (spot) => readMachine(spot, { directory: options.directory }) })
    for (const [index, machine] of machines.entries()) {
      checkPlace(machine, { estate, fault: (problem) => root.faults.push(`machines[${index}]: ${problem}`) })
    }
    return { ...estate, machines }
  })
}

function readDatacenter(spot: JsonSpot): EstateDescription['datacenters'][number] {
  const object = new JsonObject(spot, { keys: ['name', 'folders', 'clusters', 'networks'] })
  return {
    name: object.text('name', {}),
    folders: object.list('folders', { item: (one) => textOf(one).split('/'), fallback: [] }),
    clusters: object.list('clusters', {
      item: (one) => {
        const cluster = new JsonObject(one, { keys: ['name', 'hosts', 'resourcePools'] })
        return {
          name: cluster.text('name', {}),
          hosts: cluster.list('hosts', { item: textOf }),
          resourcePools: cluster.list('resourcePools', { item: textOf, fallback: ['Resources'] }),
        }
      },
    }),
    networks: object.list('networks', { item: textOf, fallback: ['VM Network'] }),
  }
}

function readDatastore(spot: JsonSpot): EstateDescription['datastores'][number] {
  const object = new JsonObject(spot, { keys: ['name', 'type', 'capacityBytes'] })
  return {
    name: object.text('name', {}),
    type: object.choice('type', { of: ['VMFS', 'NFS', 'vsan'], fallback: 'VMFS' }),
    capacityBytes: object.wholeNumber('capacityBytes', { low: 1, high: 1024 * TiB, fallback: TiB }),
  }
}

const MACHINE_KEYS = [
  ...[
    'name',
    'datastore',
    'datacenter',
    'folder',
    'cluster',
    'host',
    'resourcePool',
    'tags',
    'guestId',
    'guestFullName',
  ],
  ...['firmware', 'secureBoot', 'cpus', 'memoryMB', 'annotation', 'template', 'poweredOn', 'toolsInstalled'],
  ...['tools', 'furtherAddresses', 'bridges', 'programs', 'accounts', 'vss', 'quiesceMs'],
  ...['ipAddresses', 'changeTracking', 'changeWindowBytes', 'networks', 'disks', 'snapshots'],
]

function readMachine(spot: JsonSpot, options: { readonly directory: string }): MachineDescription {
  const object = new JsonObject(spot, { keys: MACHINE_KEYS })
  const plain = machineOf({ name: '', disks: [] })
  const folder = object.textOrNull('folder')
  return {
    name: object.text('name', {}),
    datastore: object.text('datastore', { fallback: plain.datastore }),
    place: {
      datacenter: object.text('datacenter', { fallback: plainPlace.datacenter }),
      folders: folder === null ? [] : folder.split('/'),
      cluster: object.text('cluster', { fallback: plainPlace.cluster }),
      host: object.text('host', { fallback: plainPlace.host }),
      resourcePool: object.text('resourcePool', { fallback: plainPlace.resourcePool }),
      tags: object.list('tags', { item: textOf, fallback: [] }),
    },
    guestId: object.text('guestId', { fallback: plain.guestId }),
    guestFullName: object.text('guestFullName', { fallback: plain.guestFullName }),
    firmware: object.choice('firmware', { of: ['bios', 'efi'], fallback: plain.firmware }),
    secureBoot: object.flag('secureBoot', { fallback: plain.secureBoot }),
    cpus: object.wholeNumber('cpus', { low: 1, high: 768, fallback: plain.cpus }),
    memoryMB: object.wholeNumber('memoryMB', { low: 4, high: 25_165_824, fallback: plain.memoryMB }),
    annotation: object.textOrNull('annotation') ?? '',
    template: object.flag('template', { fallback: plain.template }),
    poweredOn: object.flag('poweredOn', { fallback: plain.poweredOn }),
    ...readGuest(object, plain),
    changeTracking: object.flag('changeTracking', { fallback: plain.changeTracking }),
    changeWindowBytes: object.has('changeWindowBytes')
      ? object.wholeNumber('changeWindowBytes', { low: 65_536, high: 64 * TiB })
      : null,
    networks: object.list('networks', { item: textOf, fallback: plain.networks }),
    disks: object.list('disks', { item: (one) => readDisk(one, options) }),
    snapshots: object.list('snapshots', { item: textOf, fallback: [] }),
  }
}

/** `toolsInstalled: false` is a short way to say `tools: "notInstalled"`. */
function readGuest(object: JsonObject, plain: MachineDescription) {
  const installed = object.flag('toolsInstalled', { fallback: true })
  return {
    tools: object.choice('tools', { of: TOOLS_STATES, fallback: installed ? plain.tools : 'notInstalled' }),
    ipAddresses: object.list('ipAddresses', { item: textOf, fallback: [] }),
    furtherAddresses: object.list('furtherAddresses', { item: readTexts, fallback: [] }),
    bridges: object.list('bridges', { item: readBridge, fallback: [] }),
    programs: object.flag('programs', { fallback: plain.programs }),
    accounts: object.list('accounts', { item: readAccount, fallback: [] }),
    vss: object.has('vss') ? readVss(new JsonObject(object.spot('vss'), { keys: VSS_KEYS }))(plain.vss) : plain.vss,
    quiesceMs: object.wholeNumber('quiesceMs', { low: 0, high: 3_600_000, fallback: plain.quiesceMs }),
  }
}

function readDisk(spot: JsonSpot, options: { readonly directory: string }): DiskDescription {
  const object = new JsonObject(spot, { keys: ['capacityBytes', 'thin', 'datastore', 'mode', 'rdm', 'fill', 'image'] })
  const plain = diskOf({ capacityBytes: 0 })
  const capacityBytes = object.wholeNumber('capacityBytes', { low: 256 * 1024, high: 62 * TiB })
  if (capacityBytes % 512 !== 0) object.fault('capacityBytes', 'must be a whole number of 512-byte sectors')
  const modes = ['persistent', 'nonpersistent', 'independent_persistent', 'independent_nonpersistent'] as const
  const image = object.textOrNull('image')
  return {
    capacityBytes,
    thin: object.flag('thin', { fallback: plain.thin }),
    datastore: object.textOrNull('datastore'),
    mode: object.choice('mode', { of: modes, fallback: plain.mode }),
    rdm: object.has('rdm') ? object.choice('rdm', { of: ['physicalMode', 'virtualMode'] }) : null,
    fill: object.choice('fill', { of: ['empty', 'text', 'random', 'mixed'], fallback: plain.fill }),
    image: image === null ? null : resolve(options.directory, image),
  }
}

/** The machine's datastores, datacenter, cluster, host, pool, folder and networks must be in the estate. */
function checkPlace(
  machine: MachineDescription,
  options: { readonly estate: Omit<EstateDescription, 'seed' | 'machines'>; readonly fault: (problem: string) => void },
): void {
  const { estate, fault } = options
  const { place } = machine
  const datacenter = estate.datacenters.find((one) => one.name === place.datacenter)
  const cluster = datacenter?.clusters.find((one) => one.name === place.cluster)
  const folders = (datacenter?.folders ?? []).map((one) => one.join('/'))
  const need = (what: string, wanted: { readonly name: string; readonly known: readonly string[] }) => {
    if (!wanted.known.includes(wanted.name)) fault(`there is no ${what} "${wanted.name}"`)
  }
  const datastores = estate.datastores.map((one) => one.name)
  need('datastore', { name: machine.datastore, known: datastores })
  for (const disk of machine.disks) need('datastore', { name: disk.datastore ?? machine.datastore, known: datastores })
  need('datacenter', { name: place.datacenter, known: estate.datacenters.map((one) => one.name) })
  need('cluster', { name: place.cluster, known: (datacenter?.clusters ?? []).map((one) => one.name) })
  need('host', { name: place.host, known: cluster?.hosts ?? [] })
  need('resource pool', { name: place.resourcePool, known: cluster?.resourcePools ?? [] })
  need('folder', { name: place.folders.join('/'), known: ['', ...folders] })
  for (const network of machine.networks) need('network', { name: network, known: datacenter?.networks ?? [] })
  for (const tag of place.tags) if (!/^[^/]+\/[^/]+$/.test(tag)) fault(`the tag "${tag}" must be "category/tag"`)
}
