// Every VM of a vCenter with what a policy selects by, read in one listing.

import { createHash } from 'node:crypto'
import type { Cancel } from '../../base/time-limit.ts'
import { type Moref, parseVmId, type VmId } from '../../model/ids.ts'
import type { PowerState, VmSummary } from '../../model/vm.ts'
import { decodeName, type Place, standingOf } from './places.ts'
import { type Found, listInventory } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import { readTags } from './tags.ts'
import { isRef, refsOf, replyMalformed, type VimValue } from './values.ts'

const wanted = {
  VirtualMachine: [
    'name',
    'parent',
    'parentVApp',
    'resourcePool',
    'datastore',
    'config.instanceUuid',
    'config.template',
    'runtime.host',
    'runtime.powerState',
  ],
  Folder: ['name', 'parent'],
  Datacenter: ['name', 'parent'],
  ComputeResource: ['name', 'parent'],
  HostSystem: ['name', 'parent'],
  ResourcePool: ['name', 'parent'],
  VirtualApp: ['name', 'parent', 'parentFolder'],
  Datastore: ['name'],
}

export async function listVms(session: VimSession, cancel: Cancel): Promise<readonly VmSummary[]> {
  const what = 'Cannot list the inventory'
  const found = await retryReading(session.settings, () => listInventory(session, { wanted, what }, cancel), cancel)
  const tags = await readTags(session, cancel)
  const places = new Map(found.map((object) => [String(object.ref.value), placeOf(object)]))
  const root = session.content.rootFolder
  if (!places.has(root.value)) places.set(root.value, { type: 'Folder', name: '', parent: null })
  const vms = found.filter(({ ref }) => ref.type === 'VirtualMachine')
  return vms.map((vm) => summaryOf(vm, { places, tags: tags.get(vm.ref.value) ?? [], session }))
}

/** Power state as vSphere names it. */
export function powerStateOf(value: VimValue | undefined): PowerState {
  if (value === 'poweredOn' || value === 'poweredOff' || value === 'suspended') return value
  throw replyMalformed(`"${String(value)}" is no power state`)
}

/**
 * The id of a VM. One whose config vCenter cannot read (inaccessible, orphaned) has no instance uuid: it gets an id of
 * its reference, so that it stays listed and fails by name where it is used, instead of silently going missing.
 */
export function vmIdOf(
  instanceUuid: VimValue | undefined,
  { moref, vcenter }: { readonly moref: Moref; readonly vcenter: string | null },
): VmId {
  if (typeof instanceUuid === 'string' && instanceUuid !== '') return parseVmId(instanceUuid)
  const digits = createHash('sha256')
    .update(JSON.stringify(['no-instance-uuid', vcenter, moref]))
    .digest('hex')
  return parseVmId(digits.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'))
}

function summaryOf(
  { ref, values }: Found,
  {
    places,
    tags,
    session,
  }: { readonly places: ReadonlyMap<string, Place>; readonly tags: readonly string[]; readonly session: VimSession },
): VmSummary {
  const nameOf = (value: VimValue | undefined) => {
    const place = isRef(value) ? places.get(value.value) : undefined
    return place === undefined ? null : decodeName(place.name)
  }
  const host = values.get('runtime.host')
  const hostPlace = isRef(host) ? places.get(host.value) : undefined
  const cluster =
    hostPlace?.parent === undefined || hostPlace.parent === null ? undefined : places.get(hostPlace.parent)
  const parent = values.get('parent') ?? values.get('parentVApp')
  const standing = standingOf(isRef(parent) ? parent.value : null, places)
  return {
    moref: ref.value,
    vmId: vmIdOf(values.get('config.instanceUuid'), { moref: ref.value, vcenter: session.content.about.instanceUuid }),
    name: decodeName(String(values.get('name') ?? '')),
    folder: standing.folder,
    datacenter: standing.datacenter,
    cluster: cluster?.type === 'ClusterComputeResource' ? decodeName(cluster.name) : null,
    host: nameOf(host),
    resourcePool: nameOf(values.get('resourcePool')),
    datastores: refsOf(values.get('datastore')).map((datastore) => nameOf(datastore) ?? datastore.value),
    tags,
    template: values.get('config.template') === true,
    powerState: powerStateOf(values.get('runtime.powerState')),
  }
}

function placeOf({ ref, values }: Found): Place {
  // A vApp's parent is a resource pool; its folder is what leads to the datacenter.
  const parent = values.get('parentFolder') ?? values.get('parent')
  return { type: ref.type, name: String(values.get('name') ?? ''), parent: isRef(parent) ? parent.value : null }
}
