// The inventory tree over an estate: entities with opaque references, parents and children. No properties, no XML.

import type { SimDatastore, SimEstate, SimMachine, SimPlace, SimSnapshot } from '../machine/types.ts'
import { type Ref, ref } from '../soap/value.ts'

type Node<Kind extends string> = {
  readonly kind: Kind
  readonly ref: Ref
  readonly name: string
  readonly parent: Entity | null
}

export type FolderEntity = Node<'folder'> & { readonly childTypes: readonly string[] }
export type DatacenterEntity = Node<'datacenter'>
export type ClusterEntity = Node<'cluster'>
export type HostEntity = Node<'host'>
export type PoolEntity = Node<'pool'>
export type DatastoreEntity = Node<'datastore'> & { readonly datastore: SimDatastore }
export type NetworkEntity = Node<'network'>
export type MachineEntity = Node<'machine'> & {
  readonly machine: SimMachine
  readonly place: SimPlace
  readonly createdMs: number
}

export type Entity =
  | FolderEntity
  | DatacenterEntity
  | ClusterEntity
  | HostEntity
  | PoolEntity
  | DatastoreEntity
  | NetworkEntity
  | MachineEntity

export interface World {
  readonly estate: SimEstate
  readonly root: FolderEntity
  /** Null when nothing has that id (any more). */
  find(id: string): Entity | null
  /** Everything but machines is fixed at the start, except folders that are added. */
  entities(): readonly Entity[]
  machines(): readonly MachineEntity[]
  children(parent: Entity): readonly Entity[]
  datacenterOf(entity: Entity): DatacenterEntity | null
  snapshotRef(snapshot: SimSnapshot): Ref
  findSnapshot(id: string): { readonly owner: MachineEntity; readonly snapshot: SimSnapshot } | null
  addFolder(parent: FolderEntity, name: string): FolderEntity
  /** Takes a machine out of the inventory; its files stay. */
  unregister(entity: MachineEntity): void
  /** Whether a machine that has been unregistered, or never was there, is gone. */
  entityOf(machine: SimMachine): MachineEntity | null
}

const MACHINE_FIRST = 101
const SNAPSHOT_FIRST = 201

export function openWorld(estate: SimEstate, clock: { nowMs(): number }): World {
  const fixed: Entity[] = []
  const numbers = { next: 1 }
  const add = <Added extends Entity>(entity: Added): Added => {
    fixed.push(entity)
    return entity
  }
  const root = add({
    ...folder('group-d', 'Datacenters', { parent: null, childTypes: ['Folder', 'Datacenter'], numbers }),
  })
  for (const [index, plan] of estate.datacenters.entries()) {
    for (const entity of datacenterEntities({ plan, root, numbers, datastores: datastoresOf(estate, index) }))
      add(entity)
  }
  return worldOf({ estate, root, fixed, numbers, nowMs: () => clock.nowMs() })
}

type Numbers = { next: number }
type Foundation = {
  readonly estate: SimEstate
  readonly root: FolderEntity
  readonly fixed: Entity[]
  readonly numbers: Numbers
  readonly nowMs: () => number
}

type Shown = {
  readonly placed: ReturnType<SimEstate['machines']>
  readonly hidden: number
  readonly machines: readonly MachineEntity[]
  readonly byId: ReadonlyMap<string, MachineEntity>
}

function worldOf({ estate, root, fixed, numbers, nowMs }: Foundation): World {
  const hidden = new Set<SimMachine>()
  const snapshotIds = new Map<SimSnapshot, string>()
  const entityAt = entityMaker({ fixed, numbers, nowMs })
  const snapshotNumbers = { next: SNAPSHOT_FIRST }
  // The estate gives a new list when a machine comes or goes; until then the entities of the last one stand.
  let shown: Shown = { placed: [], hidden: -1, machines: [], byId: new Map() }
  const current = (): Shown => {
    const placed = estate.machines()
    if (shown.placed === placed && shown.hidden === hidden.size) return shown
    const visible = placed.filter(({ machine }) => !hidden.has(machine))
    const machines = visible.map(({ machine, place }) => entityAt(machine, place))
    shown = { placed, hidden: hidden.size, machines, byId: new Map(machines.map((entity) => [entity.ref.id, entity])) }
    return shown
  }
  const machines = () => current().machines
  const snapshotRef = (snapshot: SimSnapshot) => {
    const id = snapshotIds.get(snapshot) ?? `snapshot-${snapshotNumbers.next++}`
    snapshotIds.set(snapshot, id)
    return ref('VirtualMachineSnapshot', id)
  }
  return {
    estate,
    root,
    machines,
    snapshotRef,
    entities: () => [...fixed, ...machines()],
    find: (id) => current().byId.get(id) ?? fixed.find((entity) => entity.ref.id === id) ?? null,
    children: (parent) => [
      ...fixed.filter((entity) => entity.parent === parent),
      ...(parent.kind === 'folder' ? machines().filter((entity) => entity.parent === parent) : []),
    ],
    datacenterOf: (entity) => {
      for (let at: Entity | null = entity; at !== null; at = at.parent) if (at.kind === 'datacenter') return at
      return null
    },
    findSnapshot: (id) => {
      for (const owner of machines()) {
        const snapshot = allSnapshots(owner.machine).find((one) => snapshotIds.get(one) === id)
        if (snapshot !== undefined) return { owner, snapshot }
      }
      return null
    },
    addFolder: (parent, name) => {
      const added = folder('group-v', name, { parent, childTypes: parent.childTypes, numbers })
      fixed.push(added)
      return added
    },
    unregister: (entity) => void hidden.add(entity.machine),
    entityOf: (machine) => machines().find((entity) => entity.machine === machine) ?? null,
  }
}

/** Gives each machine its one entity; its place is the one it was last given with. */
function entityMaker({
  fixed,
  numbers,
  nowMs,
}: Pick<Foundation, 'fixed' | 'numbers' | 'nowMs'>): (machine: SimMachine, place: SimPlace) => MachineEntity {
  const known = new Map<SimMachine, { readonly entity: MachineEntity; place: SimPlace }>()
  const machineNumbers = { next: MACHINE_FIRST }
  return (machine, place) => {
    const made = known.get(machine)
    if (made !== undefined) {
      made.place = place
      return made.entity
    }
    const entity: MachineEntity = {
      kind: 'machine',
      ref: ref('VirtualMachine', `vm-${machineNumbers.next++}`),
      get name() {
        return machine.config.name
      },
      parent: folderOf({ fixed, place, numbers }),
      machine,
      // A machine may move to another host.
      get place() {
        return known.get(machine)?.place ?? place
      },
      createdMs: nowMs(),
    }
    known.set(machine, { entity, place })
    return entity
  }
}

/** Every snapshot of a machine, parents before children. */
export function allSnapshots(machine: SimMachine): readonly SimSnapshot[] {
  const below = (snapshot: SimSnapshot): readonly SimSnapshot[] => [snapshot, ...snapshot.children.flatMap(below)]
  return machine.rootSnapshots.flatMap(below)
}

/** A name as the inventory shows it: "%", "/" and "\" are escaped (ManagedEntity.name). */
export function shownName(name: string): string {
  return name.replaceAll('%', '%25').replaceAll('/', '%2f').replaceAll('\\', '%5c')
}

function folder(
  prefix: string,
  name: string,
  rest: { readonly parent: Entity | null; readonly childTypes: readonly string[]; readonly numbers: Numbers },
): FolderEntity {
  const id = `${prefix}${rest.numbers.next++}`
  return { kind: 'folder', ref: ref('Folder', id), name, parent: rest.parent, childTypes: rest.childTypes }
}

type DatacenterPlan = SimEstate['datacenters'][number]

function datacenterEntities(options: {
  readonly plan: DatacenterPlan
  readonly root: FolderEntity
  readonly numbers: Numbers
  readonly datastores: readonly SimDatastore[]
}): readonly Entity[] {
  const { plan, numbers } = options
  const next = (prefix: string, type: string) => ref(type, `${prefix}${numbers.next++}`)
  const parent: DatacenterEntity = {
    kind: 'datacenter',
    ref: next('datacenter-', 'Datacenter'),
    name: plan.name,
    parent: options.root,
  }
  const vms = folder('group-v', 'vm', { parent, childTypes: ['Folder', 'VirtualMachine', 'VirtualApp'], numbers })
  const hosts = folder('group-h', 'host', { parent, childTypes: ['Folder', 'ComputeResource'], numbers })
  const stores = folder('group-s', 'datastore', { parent, childTypes: ['Folder', 'Datastore', 'StoragePod'], numbers })
  const nets = folder('group-n', 'network', { parent, childTypes: ['Folder', 'Network'], numbers })
  const entities: Entity[] = [parent, vms, hosts, stores, nets]
  for (const datastore of options.datastores) {
    const own = next('datastore-', 'Datastore')
    entities.push({ kind: 'datastore', ref: own, name: datastore.name, parent: stores, datastore })
  }
  for (const name of plan.networks) {
    entities.push({ kind: 'network', ref: next('network-', 'Network'), name, parent: nets })
  }
  for (const cluster of plan.clusters) {
    const own: ClusterEntity = {
      kind: 'cluster',
      ref: next('domain-c', 'ClusterComputeResource'),
      name: cluster.name,
      parent: hosts,
    }
    const pool: PoolEntity = { kind: 'pool', ref: next('resgroup-', 'ResourcePool'), name: 'Resources', parent: own }
    entities.push(own, pool)
    for (const name of cluster.hosts) {
      entities.push({ kind: 'host', ref: next('host-', 'HostSystem'), name, parent: own })
    }
    for (const name of cluster.resourcePools.filter((each) => each !== 'Resources')) {
      entities.push({ kind: 'pool', ref: next('resgroup-', 'ResourcePool'), name, parent: pool })
    }
  }
  for (const path of plan.folders) addFolders({ entities, top: vms, path, numbers })
  return entities
}

/** A datastore belongs to the first datacenter whose machines use it, else to the first of all. */
function datastoresOf(estate: SimEstate, index: number): readonly SimDatastore[] {
  return estate.datastores.filter((datastore) => {
    const user = estate
      .machines()
      .find(
        ({ machine }) =>
          machine.config.vmPathName.startsWith(`[${datastore.name}]`) ||
          machine.disks.some((disk) => disk.datastore === datastore.name),
      )
    const owner = estate.datacenters.findIndex(({ name }) => name === user?.place.datacenter)
    return Math.max(0, owner) === index
  })
}

function folderOf(options: {
  readonly fixed: Entity[]
  readonly place: SimPlace
  readonly numbers: Numbers
}): FolderEntity | null {
  const { fixed, place } = options
  const datacenter = fixed.find((entity) => entity.kind === 'datacenter' && entity.name === place.datacenter)
  const top = fixed.find((entity) => entity.kind === 'folder' && entity.parent === datacenter && entity.name === 'vm')
  if (top?.kind !== 'folder') return null
  return addFolders({ entities: fixed, top, path: place.folders, numbers: options.numbers })
}

function addFolders(options: {
  readonly entities: Entity[]
  readonly top: FolderEntity
  readonly path: readonly string[]
  readonly numbers: Numbers
}): FolderEntity {
  let parent = options.top
  for (const name of options.path) {
    const found = options.entities.find(
      (entity) => entity.kind === 'folder' && entity.parent === parent && entity.name === name,
    )
    if (found?.kind === 'folder') {
      parent = found
      continue
    }
    parent = folder('group-v', name, { parent, childTypes: options.top.childTypes, numbers: options.numbers })
    options.entities.push(parent)
  }
  return parent
}
