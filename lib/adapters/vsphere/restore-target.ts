// Where a restored VM goes: names of the request resolved against the live inventory.

import { BackupError, quote } from '../../base/errors.ts'
import { nearNames } from '../../base/text.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { decodeName, type Place, standingOf } from './places.ts'
import { type Found, listInventory } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import { isRef, needed, type Ref, record, refsOf, typed, type VimRecord, type VimValue } from './values.ts'

export type RestoreTarget = {
  readonly datacenter: string
  readonly folder: Ref
  readonly pool: Ref
  readonly host: Ref | null
  /** Backings of a network card by network name. */
  readonly networks: ReadonlyMap<string, VimRecord>
  readonly missing: readonly string[]
}

export type TargetRequest = {
  readonly datacenter: string
  readonly cluster: string
  readonly datastore: string
  /** The folder of the captured VM, "/DC/sub"; used when the target has the same one. */
  readonly folder: string
  readonly what: string
}

const compute = ['name', 'parent', 'resourcePool', 'host']
const wanted = {
  Folder: ['name', 'parent'],
  Datacenter: ['name', 'parent', 'vmFolder', 'datastore', 'network'],
  ComputeResource: compute,
  ClusterComputeResource: compute,
  HostSystem: ['name', 'parent', 'datastore', 'runtime.connectionState', 'runtime.inMaintenanceMode'],
  Datastore: ['name', 'parent'],
  Network: ['name', 'parent'],
  DistributedVirtualPortgroup: ['name', 'parent', 'config.distributedVirtualSwitch'],
  DistributedVirtualSwitch: ['name', 'parent', 'uuid'],
  VmwareDistributedVirtualSwitch: ['name', 'parent', 'uuid'],
}

/** @throws BackupError `restore-target-not-found`, which names near matches */
export async function chooseTarget(
  session: VimSession,
  request: TargetRequest,
  cancel: Cancel,
): Promise<RestoreTarget> {
  const { what } = request
  const all = await retryReading(session.settings, () => listInventory(session, { wanted, what }, cancel), cancel)
  const places = new Map(all.map((object) => [String(object.ref.value), placeOf(object)]))
  const root = session.content.rootFolder
  places.set(root.value, { type: 'Folder', name: places.get(root.value)?.name ?? '', parent: null })

  const standing = (object: Found) => standingOf(object.ref.value, places)
  const datacenters = all.filter(({ ref }) => ref.type === 'Datacenter')
  const datacenter = choose(datacenters, {
    kind: 'datacenter',
    name: request.datacenter,
    nameOf: (object) => standing(object).datacenter,
    what,
  })
  const inside = all.filter((object) => standing(object).datacenter === request.datacenter)
  const clusters = inside.filter(({ ref }) => ref.type.endsWith('ComputeResource'))
  const cluster = choose(clusters, { kind: 'cluster or host', name: request.cluster, nameOf, what })
  const attached = new Set(refsOf(datacenter.values.get('datastore')).map(({ value }) => value))
  const stores = all.filter(({ ref }) => ref.type === 'Datastore' && attached.has(ref.value))
  const datastore = choose(stores, { kind: 'datastore', name: request.datastore, nameOf, what })

  const below = request.folder.split('/').slice(1 + request.datacenter.split('/').length)
  const wantedFolder = `/${[request.datacenter, ...below].join('/')}`
  const vmFolder = needed(refIn(datacenter.values.get('vmFolder')), 'folder for VMs')
  const folder =
    below.length === 0
      ? null
      : inside.find((object) => isVmFolder(object, { vmFolder, places }) && standing(object).folder === wantedFolder)
  return {
    datacenter: request.datacenter,
    folder: folder?.ref ?? vmFolder,
    pool: needed(refIn(cluster.values.get('resourcePool')), 'resource pool'),
    host: chooseHost(all, { cluster, datastore: datastore.ref }),
    networks: networkBackings(all, refsOf(datacenter.values.get('network'))),
    missing:
      below.length > 0 && folder === undefined
        ? [`Folder "${wantedFolder}" does not exist, so the VM stands in "/${request.datacenter}"`]
        : [],
  }
}

function choose(
  objects: readonly Found[],
  {
    kind,
    name,
    nameOf: named,
    what,
  }: {
    readonly kind: string
    readonly name: string
    readonly nameOf: (object: Found) => string
    readonly what: string
  },
): Found {
  const found = objects.filter((object) => named(object) === name)
  const [first] = found
  if (first !== undefined && found.length === 1) return first
  const near = nearNames(name, objects.map(named))
  throw new BackupError(`${what}: ${found.length === 0 ? 'no' : 'more than one'} ${kind} has the name ${quote(name)}`, {
    code: 'restore-target-not-found',
    kind: 'not-found',
    hint:
      near.length === 0
        ? `Give the name of a ${kind} as vCenter shows it`
        : `Near names: ${near.map(quote).join(', ')}`,
    facts: { kind, name },
  })
}

/** A connected host of the cluster that sees the datastore; null leaves the choice to vCenter. */
function chooseHost(
  all: readonly Found[],
  { cluster, datastore }: { readonly cluster: Found; readonly datastore: Ref },
): Ref | null {
  const members = new Set(refsOf(cluster.values.get('host')).map(({ value }) => value))
  const host = all.find(
    ({ ref, values }) =>
      ref.type === 'HostSystem' &&
      members.has(ref.value) &&
      values.get('runtime.connectionState') === 'connected' &&
      values.get('runtime.inMaintenanceMode') !== true &&
      refsOf(values.get('datastore')).some(({ value }) => value === datastore.value),
  )
  return host?.ref ?? null
}

function networkBackings(all: readonly Found[], networks: readonly Ref[]): ReadonlyMap<string, VimRecord> {
  const byValue = new Map(all.map((object) => [String(object.ref.value), object]))
  const backings = new Map<string, VimRecord>()
  for (const network of networks) {
    const object = byValue.get(network.value)
    if (object === undefined) continue
    const switchRef = object.values.get('config.distributedVirtualSwitch')
    const switchUuid = isRef(switchRef) ? byValue.get(switchRef.value)?.values.get('uuid') : undefined
    if (network.type === 'DistributedVirtualPortgroup' && typeof switchUuid === 'string') {
      const port = record({ switchUuid, portgroupKey: network.value })
      backings.set(nameOf(object), typed('VirtualEthernetCardDistributedVirtualPortBackingInfo', { port }))
    } else if (network.type === 'Network') {
      backings.set(nameOf(object), typed('VirtualEthernetCardNetworkBackingInfo', { deviceName: nameOf(object) }))
    }
  }
  return backings
}

function isVmFolder(
  object: Found,
  { vmFolder, places }: { readonly vmFolder: Ref; readonly places: ReadonlyMap<string, Place> },
): boolean {
  if (object.ref.type !== 'Folder') return false
  let at: string | null = object.ref.value
  for (let depth = 0; at !== null && depth < 64; depth++) {
    if (at === vmFolder.value) return true
    at = places.get(at)?.parent ?? null
  }
  return false
}

function nameOf(object: Found): string {
  return decodeName(String(object.values.get('name') ?? ''))
}

function placeOf({ ref, values }: Found): Place {
  return { type: ref.type, name: String(values.get('name') ?? ''), parent: refIn(values.get('parent'))?.value ?? null }
}

function refIn(value: VimValue | undefined): Ref | null {
  return isRef(value) ? value : null
}
