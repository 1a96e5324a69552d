// A whole simulated estate: inventory, datastores and machines, made from a description.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Clock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { type GuestsHome, openGuestsHome } from '../guest/guests-home.ts'
import { PrivateGuest } from '../guest/private-guest.ts'
import { AlarmLog } from '../machine/alarm-log.ts'
import { AttachedDisks } from '../machine/attached-disks.ts'
import { Datastore } from '../machine/datastore.ts'
import { FrozenLedger } from '../machine/digest.ts'
import type { Disk } from '../machine/disk.ts'
import { type StoreMaker, storeMaker } from '../machine/grain-store.ts'
import { Machine, type MachineDisk, type MachineOptions } from '../machine/machine.ts'
import { moveFiles } from '../machine/move-files.ts'
import { homeOf, parseDatastorePath, stemOf } from '../machine/paths.ts'
import { Peaks } from '../machine/peaks.ts'
import { isWindows } from '../machine/quiescing.ts'
import { Tools } from '../machine/tools.ts'
import {
  type SimConfig,
  type SimEstate,
  SimFault,
  type SimForeignTasks,
  type SimMachine,
  type SimPlace,
  type SimTarget,
} from '../machine/types.ts'
import { fillDisk } from './content.ts'
import type { DiskDescription, EstateDescription, MachineDescription } from './description.ts'

export type EstateWorld = {
  /** Where the disks' sparse files are kept (without names); null: in memory. */
  readonly directory: string | null
  readonly clock: Clock
  /** Where guests that have an inside keep their files and run their programs; null: there are none. */
  readonly guests?: GuestsPlan | null
}

export type GuestsPlan = {
  /** Made for it, or empty. */
  readonly directory: string
  /** How long the exit code of an ended program is told; five minutes with real Tools. */
  readonly exitKeepMs: number
}

export type PlacedMachine = { readonly machine: Machine; readonly place: SimPlace }

export class Estate implements SimEstate, Disposable {
  readonly seed: number
  readonly datacenters: SimEstate['datacenters']
  readonly datastores: readonly Datastore[]
  readonly ledger = new FrozenLedger()
  readonly attached = new AttachedDisks()
  readonly peaks = new Peaks()
  readonly alarms: AlarmLog
  #placed: readonly PlacedMachine[] = []
  #made = 0
  #tasks: SimForeignTasks | null = null
  readonly #clock: Clock
  readonly #stores: StoreMaker
  readonly #guests: GuestsPlan | null
  readonly #home: GuestsHome | null

  constructor(description: EstateDescription, world: EstateWorld) {
    this.seed = description.seed
    this.datacenters = description.datacenters
    this.#clock = world.clock
    this.alarms = new AlarmLog(world.clock)
    this.#stores = storeMaker(world.directory)
    this.#guests = world.guests ?? null
    this.#home = this.#guests === null ? null : openGuestsHome(this.#guests.directory)
    const machines = () => this.#placed.map(({ machine }) => machine)
    this.datastores = description.datastores.map((one) => new Datastore(one, { machines }))
    for (const machine of description.machines) this.#build(machine)
  }

  machines(): readonly PlacedMachine[] {
    return this.#placed
  }

  /** The machines of this name, of all folders. */
  named(name: string): readonly Machine[] {
    return this.#placed.map(({ machine }) => machine).filter((machine) => machine.config.name === name)
  }

  createMachine(options: {
    readonly config: SimConfig
    readonly place: SimPlace
    readonly disks: readonly Pick<MachineDisk, 'capacityBytes' | 'thin' | 'controllerKey' | 'unitNumber'>[]
    readonly nvram: Uint8Array | null
  }): Machine {
    const datastore = parseDatastorePath(options.config.vmPathName)?.datastore
    if (datastore === undefined || !this.datastores.some((one) => one.name === datastore)) {
      throw new SimFault('InvalidDatastore', `No datastore for "${options.config.vmPathName}"`)
    }
    return this.#place(options.place, {
      config: this.#unique(options.config),
      disks: options.disks.map((disk) => ({ ...disk, datastore, mode: 'persistent', rdm: null })),
      nvram: options.nvram,
      tools: new Tools({ state: 'running', addresses: { cards: [], bridges: [] }, hostName: options.config.name }),
      system: null,
      allocation: this.#allocationOf(datastore),
      changeWindowBytes: Number.POSITIVE_INFINITY,
    })
  }

  onForeignTasks(tasks: SimForeignTasks): void {
    this.#tasks = tasks
  }

  /** Tasks on machines that nobody asked the server for. @throws SimFault NotSupported when no server runs over this estate */
  get foreignTasks(): SimForeignTasks {
    if (this.#tasks === null) throw new SimFault('NotSupported', 'No server runs over this estate')
    return this.#tasks
  }

  relocateMachine(machine: SimMachine, { host, datastore, changeTracking }: SimTarget): void {
    const found = this.#of(machine)
    const { place } = found
    const clusters = this.datacenters.find(({ name }) => name === place.datacenter)?.clusters ?? []
    if (host !== null && !clusters.some(({ name, hosts }) => name === place.cluster && hosts.includes(host))) {
      throw new SimFault('InvalidArgument', `The cluster has no host "${host}"`, { invalidProperty: 'host' })
    }
    if (datastore !== null) {
      const { vmPathName } = found.machine.config
      const path = parseDatastorePath(vmPathName)?.path ?? ''
      if (!this.datastores.some(({ name }) => name === datastore)) {
        throw new SimFault('InvalidDatastore', `There is no datastore "${datastore}"`)
      }
      const others = this.#placed.flatMap((one) => (one.machine === machine ? [] : [one.machine.config]))
      moveFiles(found.machine, { vmPathName: freePath(`[${datastore}] ${path}`, others), datastore, changeTracking })
    }
    const moved = { machine: found.machine, place: { ...place, host: host ?? place.host } }
    this.#placed = this.#placed.map((one) => (one === found ? moved : one))
  }

  destroyMachine(machine: SimMachine): void {
    const found = this.#of(machine)
    if (machine.powerState !== 'poweredOff') {
      const properties = { requestedState: 'poweredOff', existingState: machine.powerState }
      throw new SimFault('InvalidPowerState', 'The machine is running', properties)
    }
    this.#placed = this.#placed.filter((one) => one !== found)
    found.machine.dispose()
  }

  [Symbol.dispose](): void {
    for (const { machine } of this.#placed) machine.system?.dispose()
    for (const { machine } of this.#placed) for (const disk of machine.allDisks) disk.dispose()
    this.#placed = []
    this.#home?.[Symbol.dispose]()
  }

  #build(description: MachineDescription): void {
    const { name, datastore } = description
    const random = this.#randomOf(`config ${this.#placed.length} ${name}`)
    const machine = this.#place(description.place, {
      config: this.#unique(configOf(description, random)),
      disks: description.disks.map((disk, index) => ({
        ...disk,
        datastore: disk.datastore ?? datastore,
        controllerKey: 1000,
        unitNumber: index < 7 ? index : index + 1,
      })),
      nvram: description.firmware === 'efi' ? random.bytes(264 * 1024) : random.bytes(8684),
      tools: toolsOf(description),
      system: this.#systemOf(description),
      allocation: this.#allocationOf(datastore),
      changeWindowBytes: description.changeWindowBytes ?? Number.POSITIVE_INFINITY,
    })
    for (const [index, disk] of machine.disks.entries()) {
      const wanted = description.disks[index]
      if (wanted !== undefined) fillAsDescribed(disk, { wanted, seed: `${this.seed} ${name} ${index}` })
    }
    machine.quiescing.vss = description.vss
    machine.quiescing.quiesceMs = description.quiesceMs
    if (description.changeTracking) machine.setChangeTracking(true)
    if (description.poweredOn) machine.powerOn()
    if (description.poweredOn) machine.guest.step(16)
    for (const snapshot of description.snapshots) {
      machine.createSnapshot({ name: snapshot, description: '', quiesce: { kind: 'none' } })
      if (description.poweredOn) machine.guest.step(4)
    }
  }

  #systemOf({ name, programs, accounts, guestId }: MachineDescription): PrivateGuest | null {
    if (this.#home === null || this.#guests === null || !programs) return null
    return new PrivateGuest({
      root: this.#home.add(name),
      guests: this.#home.directory,
      family: isWindows({ guestId }) ? 'windows' : 'linux',
      accounts,
      exitKeepMs: this.#guests.exitKeepMs,
      clock: this.#clock,
      random: this.#randomOf(`guest ${name}`),
    })
  }

  #place(place: SimPlace, options: MachineOptions): Machine {
    const random = this.#randomOf(`machine ${this.#made++}`)
    const machine = new Machine(options, { clock: this.#clock, random, stores: this.#stores, ledger: this.ledger })
    this.#placed = [...this.#placed, { machine, place }]
    return machine
  }

  /** A folder and an instance uuid of its own, as vCenter gives them to a machine that asks for taken ones. */
  #unique(config: SimConfig): SimConfig {
    const others = this.#placed.map(({ machine }) => machine.config)
    const taken = others.some((one) => one.instanceUuid === config.instanceUuid)
    const instanceUuid = taken ? uuidOf(this.#randomOf(`uuid ${this.#made}`)) : config.instanceUuid
    return { ...config, instanceUuid, vmPathName: freePath(config.vmPathName, others) }
  }

  #of(machine: SimMachine): PlacedMachine {
    const found = this.#placed.find((one) => one.machine === machine)
    if (found !== undefined) return found
    throw new SimFault('ManagedObjectNotFound', `The machine "${machine.config.name}" is gone`)
  }

  #allocationOf(datastore: string): 'vmfs' | 'whole' {
    return this.datastores.find((one) => one.name === datastore)?.type === 'VMFS' ? 'vmfs' : 'whole'
  }

  #randomOf(purpose: string): Random {
    return seededRandom(createHash('sha256').update(`${this.seed} ${purpose}`).digest().readInt32LE(0))
  }
}

/** The path of a .vmx in a folder that no other machine has. */
function freePath(vmPathName: string, others: readonly SimConfig[]): string {
  const homes = new Set(others.map((one) => homeOf(one.vmPathName)))
  const file = stemOf(vmPathName).replace(/^.*\//, '')
  const home = homeOf(vmPathName)
  let free = home
  for (let index = 1; homes.has(free); index++) free = `${home.slice(0, -1)}_${index}/`
  return `${free}${file}.vmx`
}

function toolsOf(description: MachineDescription): Tools {
  const { tools, ipAddresses, furtherAddresses, bridges, name } = description
  return new Tools({
    state: tools,
    addresses: { cards: [ipAddresses, ...furtherAddresses], bridges },
    hostName: name,
  })
}

function configOf(description: MachineDescription, random: Random): SimConfig {
  const { name, datastore } = description
  return {
    name,
    instanceUuid: uuidOf(random),
    biosUuid: uuidOf(random),
    version: 'vmx-19',
    guestId: description.guestId,
    guestFullName: description.guestFullName,
    firmware: description.firmware,
    secureBoot: description.secureBoot,
    cpus: description.cpus,
    coresPerSocket: 1,
    memoryMB: description.memoryMB,
    annotation: description.annotation,
    template: description.template,
    vmPathName: `[${datastore}] ${name}/${name}.vmx`,
    nvramFile: `${name}.nvram`,
    extraConfig: { 'svga.present': 'TRUE' },
    controllers: [{ deviceKey: 1000, type: 'ParaVirtualSCSIController', busNumber: 0 }],
    nics: description.networks.map((network, index) => ({
      deviceKey: 4000 + index,
      type: 'VirtualVmxnet3',
      macAddress: `00:50:56:${[...random.bytes(3)].map((byte) => (byte & 0xbf).toString(16).padStart(2, '0')).join(':')}`,
      network,
      connected: true,
    })),
  }
}

function fillAsDescribed(disk: Disk, options: { readonly wanted: DiskDescription; readonly seed: string }): void {
  const { wanted, seed } = options
  if (wanted.image === null) return fillDisk(disk, { fill: wanted.fill, seed })
  const bytes = imageOf(wanted.image)
  if (bytes.byteLength > disk.capacityBytes) {
    const sizes = { imageBytes: bytes.byteLength, capacityBytes: disk.capacityBytes }
    throw new BackupError(`The image "${wanted.image}" does not fit the disk`, {
      code: 'malformed',
      kind: 'usage',
      facts: sizes,
    })
  }
  disk.write({ offsetBytes: 0, bytes })
}

function imageOf(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new BackupError(`Cannot read the disk image "${path}"`, { code: 'not-found', kind: 'not-found', cause })
  }
}

/** A random uuid (version 4) as vSphere prints it. */
function uuidOf(random: Random): string {
  const bytes = random.bytes(16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = Buffer.from(bytes).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
