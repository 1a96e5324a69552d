// Views and searches over the inventory, tasks, folders, and refreshes that have nothing to refresh.

import { SimFault } from '../../machine/types.ts'
import { isDerived } from '../../soap/schema.ts'
import {
  flagAt,
  optionalFlagAt,
  optionalRefAt,
  type Ref,
  ref,
  refAt,
  textAt,
  textsAt,
  type Value,
} from '../../soap/value.ts'
import { invalidArgument, notAuthenticated, notFound } from '../faults.ts'
import type { Call, Front, Handler } from '../front.ts'
import { uuidOf } from '../objects/compute.ts'
import { type Entity, type MachineEntity, shownName } from '../world.ts'

export const inventoryMethods: Readonly<Record<string, Handler>> = {
  CreateContainerView: createContainerView,
  DestroyView: ({ self, session }) => {
    session?.objects.delete(self.ref.id)
    return null
  },
  FindByUuid: (call) => byUuid(call)[0] ?? null,
  FindAllByUuid: byUuid,
  FindByDatastorePath: (call) =>
    machinesIn(call).find(({ machine }) => machine.config.vmPathName === textAt(call.args, 'path'))?.ref ?? null,
  FindByDnsName: (call) => byGuest(call, ({ machine }) => machine.hostName === textAt(call.args, 'dnsName')),
  FindByIp: (call) =>
    byGuest(call, ({ machine }) =>
      machine.guestNics.some(({ addresses }) => addresses.includes(textAt(call.args, 'ip'))),
    ),
  FindByInventoryPath: ({ front, args }) => byInventoryPath(front, textAt(args, 'inventoryPath')),
  FindChild: ({ front, args }) => {
    const parent = front.world.find(refAt(args, 'entity').id)
    if (parent === null) throw notFound(refAt(args, 'entity'))
    return childNamed(front, { parent, name: textAt(args, 'name') })?.ref ?? null
  },
  CreateFolder: createFolder,
  CancelTask: ({ front, self }) => {
    front.tasks.cancel(self.ref.id)
    return null
  },
  RefreshDatastore: () => null,
  RefreshStorageInfo: () => null,
}

function createContainerView(call: Call): Value {
  const { front, session, args } = call
  if (session === null) throw notAuthenticated('System.View')
  const container = front.world.find(refAt(args, 'container').id)
  if (container === null) throw notFound(refAt(args, 'container'))
  const types = textsAt(args, 'type')
  const recursive = flagAt(args, 'recursive')
  const own = ref('ContainerView', front.sessions.newId(session))
  session.objects.set(own.id, {
    ref: own,
    properties: {
      container: () => container.ref,
      type: () => types,
      recursive: () => recursive,
      view: () =>
        insideOf(front, { container, recursive })
          .filter((entity) => types.length === 0 || types.some((type) => isDerived(entity.ref.type, type)))
          .map((entity) => entity.ref),
    },
  })
  return own
}

/** What a container view shows: children; recursively also what clusters, hosts and pools contain. */
function insideOf(
  front: Front,
  { container, recursive }: { readonly container: Entity; readonly recursive: boolean },
): readonly Entity[] {
  const direct = [...front.world.children(container), ...contained(front, container)]
  if (!recursive) return direct
  const all = new Map<Entity, Entity>()
  const visit = (entity: Entity) => {
    for (const child of [...front.world.children(entity), ...contained(front, entity)]) {
      if (all.has(child)) continue
      all.set(child, child)
      visit(child)
    }
  }
  visit(container)
  return [...all.values()]
}

/** Machines that run below a cluster, a host or a pool, though the inventory tree hangs them into folders. */
function contained(front: Front, entity: Entity): readonly MachineEntity[] {
  const isHere = ({ place }: MachineEntity) => {
    if (front.world.datacenterOf(entity)?.name !== place.datacenter) return false
    switch (entity.kind) {
      case 'cluster':
        return place.cluster === entity.name
      case 'host':
        return place.host === entity.name
      case 'pool':
        return place.resourcePool === entity.name
      default:
        return false
    }
  }
  return front.world.machines().filter(isHere)
}

function byUuid(call: Call): readonly Ref[] {
  const { args, front } = call
  const uuid = textAt(args, 'uuid').toLowerCase()
  if (!flagAt(args, 'vmSearch')) {
    const hosts = front.world.entities().filter((each) => each.kind === 'host')
    return hosts.filter((host) => uuidOf(host.ref.id) === uuid).map((host) => host.ref)
  }
  const isInstance = optionalFlagAt(args, 'instanceUuid') ?? false
  return machinesIn(call)
    .filter(({ machine: { config } }) => (isInstance ? config.instanceUuid : config.biosUuid).toLowerCase() === uuid)
    .map((entity) => entity.ref)
}

function byGuest(call: Call, matches: (entity: MachineEntity) => boolean): Ref | null {
  if (!flagAt(call.args, 'vmSearch')) return null
  return machinesIn(call).find((entity) => entity.machine.toolsRunning && matches(entity))?.ref ?? null
}

function machinesIn({ front, args }: Call): readonly MachineEntity[] {
  const datacenter = optionalRefAt(args, 'datacenter')
  if (datacenter === null) return front.world.machines()
  const found = front.world.find(datacenter.id)
  if (found?.kind !== 'datacenter') throw notFound(datacenter)
  return front.world.machines().filter((entity) => front.world.datacenterOf(entity) === found)
}

function byInventoryPath(front: Front, path: string): Ref | null {
  let at: Entity | undefined = front.world.root
  for (const name of path.split('/').filter((step) => step !== '')) {
    at = at === undefined ? undefined : childNamed(front, { parent: at, name })
  }
  return at?.ref ?? null
}

function childNamed(
  front: Front,
  { parent, name }: { readonly parent: Entity; readonly name: string },
): Entity | undefined {
  const children =
    parent.kind === 'folder' || parent.kind === 'datacenter'
      ? front.world.children(parent)
      : insideOf(front, { container: parent, recursive: false })
  return children.find((child) => shownName(child.name) === name || child.name === name)
}

function createFolder({ front, self, args }: Call): Value {
  const parent = front.world.find(self.ref.id)
  const name = textAt(args, 'name')
  if (parent?.kind !== 'folder') throw notFound(self.ref)
  if (name === '') throw new SimFault('InvalidName', 'The name of a folder must not be empty', { name })
  if (!parent.childTypes.includes('VirtualMachine')) throw invalidArgument('parent', 'Only VM folders can be added')
  const twin = childNamed(front, { parent, name })
  if (twin !== undefined) {
    const properties = { name, object: twin.ref.id, referenceType: twin.ref.type }
    throw new SimFault('DuplicateName', `The name '${name}' already exists.`, properties)
  }
  return front.world.addFolder(parent, name).ref
}
