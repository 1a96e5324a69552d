// One VM and one snapshot as they are now: what preflight judges and what capture records.

import { isoTime } from '../../base/clock.ts'
import { BackupError, hasCode } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Moref } from '../../model/ids.ts'
import type { SnapshotState, VmSnapshot, VmState } from '../../model/vm.ts'
import { disksOf } from './devices.ts'
import { powerStateOf, vmIdOf } from './inventory.ts'
import { decodeName, type Place, type Standing, standingOf } from './places.ts'
import { readObject } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import {
  booleanAt,
  isRecord,
  isRef,
  needed,
  numberAt,
  type Ref,
  recordsAt,
  recordsOf,
  ref,
  refAt,
  textAt,
  textsOf,
  type VimRecord,
  type VimValue,
} from './values.ts'

const vmPaths = [
  'name',
  'parent',
  'parentVApp',
  'config.instanceUuid',
  'config.template',
  'config.version',
  'config.guestId',
  'config.changeTrackingEnabled',
  'config.ftInfo',
  'config.hardware.device',
  'config.extraConfig',
  'capability.changeTrackingSupported',
  'runtime.powerState',
  'runtime.connectionState',
  'runtime.consolidationNeeded',
  'runtime.host',
  'guest.guestFamily',
  'guest.toolsRunningStatus',
  'guest.toolsVersion',
  'guest.toolsVersionStatus2',
  'guest.guestOperationsReady',
  'guest.hostName',
  'guest.ipAddress',
  'guest.net',
  'snapshot',
]

/** @throws BackupError `vm-not-found`, `vm-inaccessible` when vCenter cannot read the VM's configuration */
export async function readVm(session: VimSession, vm: Moref, cancel: Cancel): Promise<VmState> {
  const what = `Cannot read the VM "${vm}"`
  const target = ref('VirtualMachine', vm)
  try {
    const asked = { ref: target, paths: vmPaths, what }
    const values = await retryReading(session.settings, () => readObject(session, asked, cancel), cancel)
    if (!values.has('config.hardware.device') || !values.has('config.instanceUuid')) throw inaccessible(vm, values)
    const parent = values.get('parent') ?? values.get('parentVApp')
    const standing = await readStanding(session, isRef(parent) ? parent : null, cancel)
    return vmStateOf(target, { values, standing, vcenter: session.content.about.instanceUuid })
  } catch (error) {
    throw hasCode(error, 'vcenter-object-gone') ? notFound('vm-not-found', { what, error }) : error
  }
}

/** @throws BackupError `snapshot-not-found` */
export async function readSnapshot(session: VimSession, snapshot: Moref, cancel: Cancel): Promise<SnapshotState> {
  const what = `Cannot read the snapshot "${snapshot}"`
  const asked = { ref: ref('VirtualMachineSnapshot', snapshot), paths: ['config.hardware.device'], what }
  try {
    const values = await retryReading(session.settings, () => readObject(session, asked, cancel), cancel)
    return {
      moref: snapshot,
      disks: disksOf(recordsOf(needed(values.get('config.hardware.device') ?? null, 'devices'))),
    }
  } catch (error) {
    throw hasCode(error, 'vcenter-object-gone') ? notFound('snapshot-not-found', { what, error }) : error
  }
}

/** Climbs from a folder, vApp or pool to the root; a few small calls. */
export async function readStanding(session: VimSession, start: Ref | null, cancel: Cancel): Promise<Standing> {
  const places = new Map<string, Place>()
  for (let at = start; at !== null && !places.has(at.value); ) {
    const paths = at.type === 'VirtualApp' ? ['name', 'parent', 'parentFolder'] : ['name', 'parent']
    const asked = { ref: at, paths, what: `Cannot read the place of ${at.type} "${at.value}"` }
    const values = await readObject(session, asked, cancel)
    const parent = values.get('parentFolder') ?? values.get('parent')
    places.set(at.value, {
      type: at.type,
      name: String(values.get('name') ?? ''),
      parent: isRef(parent) ? parent.value : null,
    })
    at = isRef(parent) ? parent : null
  }
  return standingOf(start?.value ?? null, places)
}

export function notFound(
  code: string,
  { what, error }: { readonly what: string; readonly error: unknown },
): BackupError {
  return new BackupError(`${what}: it does not exist`, {
    code,
    kind: 'not-found',
    facts: { fault: 'ManagedObjectNotFound' },
    cause: error,
  })
}

function vmStateOf(
  { value: moref }: Ref,
  {
    values,
    standing,
    vcenter,
  }: { readonly values: ReadonlyMap<string, VimValue>; readonly standing: Standing; readonly vcenter: string | null },
): VmState {
  const host = values.get('runtime.host')
  const tracking = values.get('capability.changeTrackingSupported')
  const snapshots = values.get('snapshot')
  const ready = values.get('guest.guestOperationsReady')
  return {
    moref,
    vmId: vmIdOf(values.get('config.instanceUuid'), { moref, vcenter }),
    name: decodeName(textIn(values, 'name') ?? ''),
    powerState: powerStateOf(values.get('runtime.powerState')),
    connectionState: textIn(values, 'runtime.connectionState') ?? '',
    template: values.get('config.template') === true,
    hardwareVersion: textIn(values, 'config.version') ?? '',
    changeTrackingEnabled: values.get('config.changeTrackingEnabled') === true,
    changeTrackingSupported: typeof tracking === 'boolean' ? tracking : null,
    consolidationNeeded: values.get('runtime.consolidationNeeded') === true,
    faultTolerant: values.has('config.ftInfo'),
    host: isRef(host) ? host.value : null,
    datacenter: standing.datacenter,
    guest: {
      family: familyOf(textIn(values, 'guest.guestFamily'), textIn(values, 'config.guestId')),
      toolsRunning: textIn(values, 'guest.toolsRunningStatus') === 'guestToolsRunning',
      toolsVersion: textIn(values, 'guest.toolsVersion') || null,
      toolsVersionStatus: textIn(values, 'guest.toolsVersionStatus2') || null,
      operationsReady: typeof ready === 'boolean' ? ready : null,
      hostName: textIn(values, 'guest.hostName') || null,
      ipAddresses: addressesOf(values),
      nics: recordsOf(values.get('guest.net')).map(nicOf),
    },
    diskUuidEnabled: diskUuidOf(values),
    ideDisks: ideDisksOf(values),
    disks: disksOf(recordsOf(values.get('config.hardware.device'))),
    snapshots: isRecord(snapshots) ? recordsAt(snapshots, 'rootSnapshotList').map(snapshotOf) : [],
  }
}

/** A node of VirtualMachineSnapshotTree with everything below it. */
export function snapshotOf(tree: VimRecord): VmSnapshot {
  return {
    moref: needed(refAt(tree, 'snapshot'), 'snapshot').value,
    // Snapshot names are written like inventory names: '/', '\' and '%' encoded.
    name: decodeName(textAt(tree, 'name') ?? ''),
    description: textAt(tree, 'description') ?? '',
    createdAt: utcTime(textAt(tree, 'createTime') ?? ''),
    quiesced: booleanAt(tree, 'quiesced') ?? false,
    backupManifest: textAt(tree, 'backupManifest') || null,
    children: recordsAt(tree, 'childSnapshotList').map(snapshotOf),
  }
}

/** xsd:dateTime has any offset, or none: vCenter and hosts run in UTC. What is no time stays as it is, for who needs it. */
export function utcTime(text: string): string {
  const ms = Date.parse(/(?:Z|[+-][0-9]{2}:[0-9]{2})$/.test(text) ? text : `${text}Z`)
  return Number.isNaN(ms) ? text : isoTime(ms)
}

/** Tools say it while they run; otherwise the configured guest does. */
function familyOf(reported: string | null, guestId: string | null): VmState['guest']['family'] {
  if (reported === 'windowsGuest') return 'windows'
  if (reported === 'linuxGuest') return 'linux'
  if (reported) return 'other'
  if (guestId === null || guestId === '') return null
  if (/^win/i.test(guestId)) return 'windows'
  return /linux|ubuntu|debian|centos|rhel|fedora|sles|suse|oracle|rocky|alma|photon|coreos|mandr|asianux/i.test(guestId)
    ? 'linux'
    : 'other'
}

/** Every address that Tools report, the primary one first. */
function addressesOf(values: ReadonlyMap<string, VimValue>): readonly string[] {
  const primary = textIn(values, 'guest.ipAddress')
  const others = recordsOf(values.get('guest.net')).flatMap((nic) => textsOf(nic.fields.get('ipAddress')))
  return [...new Set([...(primary ? [primary] : []), ...others])]
}

function nicOf(nic: VimRecord): VmState['guest']['nics'][number] {
  return {
    network: textAt(nic, 'network') || null,
    macAddress: textAt(nic, 'macAddress') || null,
    connected: booleanAt(nic, 'connected') ?? false,
    addresses: textsOf(nic.fields.get('ipAddress')),
  }
}

/** An option of the .vmx file; its value is text, in any case. */
function diskUuidOf(values: ReadonlyMap<string, VimValue>): boolean | null {
  const option = recordsOf(values.get('config.extraConfig')).find(
    (each) => textAt(each, 'key')?.toLowerCase() === 'disk.enableuuid',
  )
  return option === undefined ? null : /^true$/i.test(String(option.fields.get('value') ?? ''))
}

function ideDisksOf(values: ReadonlyMap<string, VimValue>): readonly string[] {
  const devices = recordsOf(values.get('config.hardware.device'))
  const controllers = devices
    .filter((each) => each.type === 'VirtualIDEController')
    .map((each) => numberAt(each, 'key'))
  return disksOf(devices)
    .filter((disk) => controllers.includes(disk.controllerKey))
    .map((disk) => disk.label)
}

function textIn(values: ReadonlyMap<string, VimValue>, name: string): string | null {
  const value = values.get(name)
  return typeof value === 'string' ? value : null
}

function inaccessible(vm: Moref, values: ReadonlyMap<string, VimValue>): BackupError {
  const state = textIn(values, 'runtime.connectionState') ?? 'unknown'
  return new BackupError(`Cannot read the configuration of VM "${vm}": its connection state is "${state}"`, {
    code: 'vm-inaccessible',
    retry: 'later',
    hint: 'Check its host and its datastore in vCenter',
    facts: { vm, connectionState: state },
  })
}
