// CreateVM_Task: a config spec becomes a powered-off machine with blank disks.

import { type SimConfig, type SimController, SimFault, type SimNic, type SimPlace } from '../../machine/types.ts'
import {
  type Data,
  dataAt,
  flagAt,
  listAt,
  numberAt,
  optionalDataAt,
  optionalFlagAt,
  optionalNumberAt,
  optionalRefAt,
  optionalTextAt,
  type Ref,
  refAt,
  textAt,
} from '../../soap/value.ts'
import { invalidArgument, notFound } from '../faults.ts'
import type { Call, Handler } from '../front.ts'
import { clusterOf } from '../objects/compute.ts'
import { uuidFrom } from '../random-ids.ts'
import type { Entity, FolderEntity, MachineEntity } from '../world.ts'
import { diskWish, extraConfigOf } from './machine.ts'
import { startTask } from './start-task.ts'

export const createMachineMethods: Readonly<Record<string, Handler>> = {
  CreateVM_Task: (call) => {
    const folder = call.front.world.find(call.self.ref.id)
    if (folder?.kind !== 'folder') throw notFound(call.self.ref)
    if (!folder.childTypes.includes('VirtualMachine')) throw invalidArgument('folder')
    const spec = dataAt(call.args, 'config')
    const place = placeOf(call, folder)
    const plan = planOf(call, spec)
    return startTask(call, {
      entity: folder,
      descriptionId: 'Folder.createVm',
      durationMs: call.front.settings.taskMs,
      work: () => created(call, { ...plan, place }).ref,
    })
  },
}

type Plan = {
  readonly config: SimConfig
  readonly disks: readonly {
    readonly capacityBytes: number
    readonly thin: boolean
    readonly controllerKey: number
    readonly unitNumber: number
  }[]
}

function created({ front }: Call, plan: Plan & { readonly place: SimPlace }): MachineEntity {
  const machine = front.world.estate.createMachine({ ...plan, nvram: null })
  const entity = front.world.entityOf(machine)
  if (entity === null) throw new SimFault('SystemError', 'The machine is not in the inventory', { reason: 'lost' })
  return entity
}

function placeOf({ front, args }: Call, folder: FolderEntity): SimPlace {
  const pool = front.world.find(refAt(args, 'pool').id)
  if (pool?.kind !== 'pool') throw notFound(refAt(args, 'pool'))
  const cluster = clusterOf(pool)
  const wanted = optionalRefAt(args, 'host')
  const hosts = front.world.entities().filter((each) => each.kind === 'host' && each.parent === cluster)
  const host = wanted === null ? hosts[0] : hosts.find((each) => each.ref.id === wanted.id)
  if (host === undefined || cluster === null) throw invalidArgument('host')
  const datacenter = front.world.datacenterOf(folder)
  if (datacenter === null || front.world.datacenterOf(pool) !== datacenter) throw invalidArgument('pool')
  return {
    datacenter: datacenter.name,
    folders: pathOf(folder),
    cluster: cluster.name,
    host: host.name,
    resourcePool: pool.name,
    tags: [],
  }
}

/** Folder names below the datacenter's own vm folder. */
function pathOf(folder: FolderEntity): readonly string[] {
  const names: string[] = []
  for (let at: Entity | null = folder; at !== null && at.parent?.kind !== 'datacenter'; at = at.parent)
    names.unshift(at.name)
  return names
}

function planOf(call: Call, spec: Data): Plan {
  const devices = listAt(spec, 'deviceChange')
    .filter((change) => (optionalTextAt(change, 'operation') ?? 'add') === 'add')
    .map((change) => dataAt(change, 'device'))
  const controllers = controllersOf(devices)
  const disks = devices.filter(({ type }) => type === 'VirtualDisk')
  return {
    config: configOf(call, { spec, devices, controllers: controllers.map(({ controller }) => controller) }),
    disks: disks.map((device, index) => {
      const wanted = optionalNumberAt(device, 'controllerKey')
      const home = controllers.find(
        ({ askedKey, controller }) => wanted === askedKey || wanted === controller.deviceKey,
      )
      if (home === undefined)
        throw new SimFault('InvalidDeviceSpec', `Disk ${index} names no controller`, { deviceIndex: index })
      return {
        ...diskWish(device),
        controllerKey: home.controller.deviceKey,
        unitNumber: optionalNumberAt(device, 'unitNumber') ?? (index < 7 ? index : index + 1),
      }
    }),
  }
}

type AskedController = { readonly askedKey: number; readonly controller: SimController }

/** Keys of a spec are the caller's (negative as a rule); those of the machine count from 1000, of AHCI from 15000. */
function controllersOf(devices: readonly Data[]): readonly AskedController[] {
  return devices.flatMap((device): readonly AskedController[] => {
    const type = controllerType(device.type)
    if (type === null) return []
    const busNumber = numberAt(device, 'busNumber')
    const deviceKey = (type === 'VirtualAHCIController' ? 15_000 : 1000) + busNumber
    return [{ askedKey: numberAt(device, 'key'), controller: { deviceKey, type, busNumber } }]
  })
}

function controllerType(type: string): SimController['type'] | null {
  switch (type) {
    case 'ParaVirtualSCSIController':
    case 'VirtualLsiLogicController':
    case 'VirtualAHCIController':
      return type
    case 'VirtualLsiLogicSASController':
    case 'VirtualBusLogicController':
      return 'VirtualLsiLogicController'
    default:
      return null
  }
}

type ConfigSources = {
  readonly spec: Data
  readonly devices: readonly Data[]
  readonly controllers: readonly SimController[]
}

function configOf(call: Call, { spec, devices, controllers }: ConfigSources): SimConfig {
  const name = textAt(spec, 'name')
  const files = optionalDataAt(spec, 'files')
  const asked = files === null ? '' : (optionalTextAt(files, 'vmPathName') ?? '')
  const boot = optionalDataAt(spec, 'bootOptions')
  const vmPathName = homePath(asked, name)
  return {
    name,
    instanceUuid: optionalTextAt(spec, 'instanceUuid') ?? uuidFrom(call.front.random),
    biosUuid: optionalTextAt(spec, 'uuid') ?? uuidFrom(call.front.random),
    version: optionalTextAt(spec, 'version') ?? 'vmx-19',
    guestId: optionalTextAt(spec, 'guestId') ?? 'otherGuest',
    guestFullName: guestName(call, spec),
    firmware: optionalTextAt(spec, 'firmware') === 'efi' ? 'efi' : 'bios',
    secureBoot: boot !== null && (optionalFlagAt(boot, 'efiSecureBootEnabled') ?? false),
    cpus: optionalNumberAt(spec, 'numCPUs') ?? 1,
    coresPerSocket: optionalNumberAt(spec, 'numCoresPerSocket') ?? 1,
    memoryMB: optionalNumberAt(spec, 'memoryMB') ?? 32,
    annotation: optionalTextAt(spec, 'annotation') ?? '',
    template: false,
    vmPathName,
    nvramFile: `${vmPathName.replace(/^.*\//, '').replace(/\.vmx$/, '')}.nvram`,
    extraConfig: extraConfigOf(spec),
    controllers,
    nics: nicsOf(call, devices),
  }
}

/** The server's own name of a guest id: that of another machine with the same id, or the id itself. */
function guestName({ front }: Call, spec: Data): string {
  const guestId = optionalTextAt(spec, 'guestId') ?? 'otherGuest'
  const twin = front.world.machines().find(({ machine }) => machine.config.guestId === guestId)
  return optionalTextAt(spec, 'alternateGuestName') ?? twin?.machine.config.guestFullName ?? guestId
}

/** "[ds]" alone gives "[ds] name/name.vmx". @throws SimFault InvalidDatastorePath */
function homePath(asked: string, name: string): string {
  const match = /^\[([^\]]+)\]\s*(.*)$/.exec(asked)
  if (match === null) {
    throw new SimFault('InvalidDatastorePath', `Invalid datastore path '${asked}'.`, { datastorePath: asked })
  }
  const [, datastore = '', path = ''] = match
  const file = name.replaceAll(/[/\\%]/g, '_')
  if (path.endsWith('.vmx')) return `[${datastore}] ${path}`
  return path === '' ? `[${datastore}] ${file}/${file}.vmx` : `[${datastore}] ${path.replace(/\/$/, '')}/${file}.vmx`
}

function nicsOf(call: Call, devices: readonly Data[]): readonly SimNic[] {
  const cards = devices.filter(({ type }) => type.startsWith('VirtualVmxnet') || type.startsWith('VirtualE1000'))
  return cards.map((card, index): SimNic => {
    const connectable = optionalDataAt(card, 'connectable')
    return {
      deviceKey: 4000 + index,
      type: card.type === 'VirtualVmxnet3' ? 'VirtualVmxnet3' : 'VirtualE1000e',
      macAddress: optionalTextAt(card, 'macAddress') ?? newMac(call),
      network: networkName(call, card),
      connected: connectable === null || flagAt(connectable, 'startConnected'),
    }
  })
}

function networkName({ front }: Call, card: Data): string {
  const backing = dataAt(card, 'backing')
  const wanted: Ref | null = optionalRefAt(backing, 'network')
  const found = wanted === null ? null : front.world.find(wanted.id)
  if (wanted !== null && found?.kind !== 'network') throw notFound(wanted)
  return found?.name ?? textAt(backing, 'deviceName')
}

/** 00:50:56 is the range of addresses that a vCenter gives out. */
function newMac({ front }: Call): string {
  const [a = 0, b = 0, c = 0] = front.random.bytes(3)
  return [0x00, 0x50, 0x56, a & 0x3f, b, c].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}
