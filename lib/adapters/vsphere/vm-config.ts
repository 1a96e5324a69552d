// Everything that recreates a VM, captured from a snapshot's config and the VM's own small files.

import { utf8Decode } from '../../base/bytes.ts'
import { BackupError, hasCode } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Moref } from '../../model/ids.ts'
import type { VmConfig, VmNic } from '../../model/vm.ts'
import { controllersOf, disksOf, isNic, labelOf, otherDevicesOf } from './devices.ts'
import { type DatastorePath, parseDatastorePath, readSmallFile } from './folder.ts'
import { powerStateOf, vmIdOf } from './inventory.ts'
import { decodeName, type Standing } from './places.ts'
import { readObject, readObjects } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import {
  booleanAt,
  isRecord,
  isRef,
  needed,
  numberAt,
  type Ref,
  recordAt,
  recordsAt,
  recordsOf,
  ref,
  refsOf,
  textAt,
  type VimRecord,
  type VimValue,
} from './values.ts'
import { notFound, readStanding } from './vm-state.ts'

const VMX_BYTES_MAX = 4 * 1024 * 1024
const NVRAM_BYTES_MAX = 16 * 1024 * 1024

/** Failures to read one small file that do not stop a backup: the file is then named as missing. */
const fileRefusals = [
  'datastore-refused',
  'datastore-locked',
  'vcenter-http-status',
  'vcenter-not-authenticated',
  'malformed',
]

type Gathered = {
  readonly config: VimRecord
  readonly vm: ReadonlyMap<string, VimValue>
  readonly standing: Standing
  readonly networks: ReadonlyMap<string, string>
  readonly pool: string | null
}

export async function captureConfig(
  session: VimSession,
  request: { readonly vm: Moref; readonly snapshot: Moref },
  cancel: Cancel,
): Promise<VmConfig> {
  const gathered = await retryReading(session.settings, () => gather(session, request, cancel), cancel)
  const missing: string[] = []
  const read = async (
    name: string,
    { file, bytesMax }: { readonly file: DatastorePath | null; readonly bytesMax: number },
  ) => {
    if (file === null) return null
    try {
      return await readSmallFile(session, { file, place: gathered.standing, bytesMax }, cancel)
    } catch (error) {
      if (!(error instanceof BackupError) || !fileRefusals.some((code) => hasCode(error, code))) throw error
      missing.push(`${name}: ${error.message}`)
      return null
    }
  }
  const vmxFile = vmxPathOf(gathered.config)
  const vmx = await read('.vmx', { file: vmxFile, bytesMax: VMX_BYTES_MAX })
  if (vmx === null && missing.length === 0)
    missing.push(`.vmx: no file at ${textAt(recordAt(gathered.config, 'files'), 'vmPathName') ?? 'its path'}`)
  const nvram = await read('.nvram', { file: nvramPathOf(gathered, vmxFile), bytesMax: NVRAM_BYTES_MAX })
  return {
    ...describe(gathered, { moref: request.vm, vcenter: session.content.about.instanceUuid }),
    vmx: vmx === null ? null : textOf(vmx),
    nvramBase64: nvram === null ? null : nvram.toString('base64'),
    missing,
  }
}

async function gather(
  session: VimSession,
  { vm, snapshot }: { readonly vm: Moref; readonly snapshot: Moref },
  cancel: Cancel,
): Promise<Gathered> {
  const target = ref('VirtualMachine', vm)
  const what = `Cannot capture the configuration of VM "${vm}"`
  const vmValues = await readOrMissing(
    session,
    {
      ref: target,
      paths: ['parent', 'parentVApp', 'resourcePool', 'layoutEx.file', 'network', 'runtime.powerState'],
      what,
      code: 'vm-not-found',
    },
    cancel,
  )
  const asked = { ref: ref('VirtualMachineSnapshot', snapshot), paths: ['config'], what, code: 'snapshot-not-found' }
  const config = (await readOrMissing(session, asked, cancel)).get('config')
  const parent = vmValues.get('parent') ?? vmValues.get('parentVApp')
  const pool = vmValues.get('resourcePool')
  return {
    config: needed(isRecord(config) ? config : null, 'configuration of the snapshot'),
    vm: vmValues,
    standing: await readStanding(session, isRef(parent) ? parent : null, cancel),
    networks: await readNetworkNames(session, refsOf(vmValues.get('network')), cancel),
    pool: isRef(pool) ? await readName(session, pool, cancel) : null,
  }
}

async function readOrMissing(
  session: VimSession,
  {
    code,
    ...asked
  }: { readonly ref: Ref; readonly paths: readonly string[]; readonly what: string; readonly code: string },
  cancel: Cancel,
): Promise<ReadonlyMap<string, VimValue>> {
  try {
    return await readObject(session, asked, cancel)
  } catch (error) {
    throw hasCode(error, 'vcenter-object-gone') ? notFound(code, { what: asked.what, error }) : error
  }
}

async function readName(session: VimSession, object: Ref, cancel: Cancel): Promise<string> {
  const asked = { ref: object, paths: ['name'], what: `Cannot read the name of ${object.type} "${object.value}"` }
  return decodeName(String((await readObject(session, asked, cancel)).get('name') ?? ''))
}

/** Names by reference value: a distributed port's backing gives its port group's value only. */
async function readNetworkNames(
  session: VimSession,
  networks: readonly Ref[],
  cancel: Cancel,
): Promise<ReadonlyMap<string, string>> {
  const types = [...new Set(networks.map(({ type }) => type))]
  const wanted = Object.fromEntries(types.map((type) => [type, ['name']]))
  const found = await readObjects(
    session,
    { refs: networks, wanted, what: 'Cannot read the names of the networks' },
    cancel,
  )
  return new Map(found.map(({ ref: { value }, values }) => [value, decodeName(String(values.get('name') ?? ''))]))
}

function describe(
  { config, vm, standing, networks, pool }: Gathered,
  { moref, vcenter }: { readonly moref: Moref; readonly vcenter: string | null },
): Omit<VmConfig, 'vmx' | 'nvramBase64' | 'missing'> {
  const hardware = recordAt(config, 'hardware')
  const devices = recordsOf(hardware?.fields.get('device'))
  // Read for its check only: a VM in an unknown state is not captured.
  powerStateOf(vm.get('runtime.powerState'))
  return {
    name: decodeName(textAt(config, 'name') ?? ''),
    vmId: vmIdOf(config.fields.get('instanceUuid'), { moref, vcenter }),
    biosUuid: textAt(config, 'uuid') ?? '',
    annotation: textAt(config, 'annotation') ?? '',
    hardwareVersion: textAt(config, 'version') ?? '',
    guestId: textAt(config, 'guestId') ?? '',
    guestFullName: textAt(config, 'guestFullName') ?? '',
    firmware: textAt(config, 'firmware') === 'efi' ? 'efi' : 'bios',
    secureBoot: booleanAt(recordAt(config, 'bootOptions'), 'efiSecureBootEnabled') ?? false,
    cpus: needed(numberAt(hardware, 'numCPU'), 'number of CPUs'),
    coresPerSocket: numberAt(hardware, 'numCoresPerSocket') ?? 1,
    memoryMB: needed(numberAt(hardware, 'memoryMB'), 'memory size'),
    folder: standing.folder,
    resourcePool: pool,
    extraConfig: extraConfigOf(config),
    controllers: controllersOf(devices),
    nics: devices.filter(isNic).map((device) => nicOf(device, networks)),
    disks: disksOf(devices),
    otherDevices: otherDevicesOf(devices),
  }
}

function extraConfigOf(config: VimRecord): Readonly<Record<string, string>> {
  const options: [string, string][] = []
  for (const option of recordsAt(config, 'extraConfig')) {
    const value = option.fields.get('value')
    const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    if (plain) options.push([needed(textAt(option, 'key'), 'option key'), String(value)])
  }
  return Object.fromEntries(options)
}

function nicOf(device: VimRecord, networks: ReadonlyMap<string, string>): VmNic {
  const backing = recordAt(device, 'backing')
  const portgroup = textAt(recordAt(backing, 'port'), 'portgroupKey')
  const connectable = recordAt(device, 'connectable')
  return {
    key: needed(numberAt(device, 'key'), 'device key'),
    type: device.type ?? 'VirtualEthernetCard',
    label: labelOf(device),
    macAddress: textAt(device, 'macAddress') ?? '',
    addressType: textAt(device, 'addressType') ?? '',
    network:
      textAt(backing, 'deviceName') ??
      (portgroup === null ? null : (networks.get(portgroup) ?? portgroup)) ??
      textAt(backing, 'opaqueNetworkId') ??
      '',
    connected: booleanAt(connectable, 'connected') ?? false,
    startConnected: booleanAt(connectable, 'startConnected') ?? true,
  }
}

function vmxPathOf(config: VimRecord): DatastorePath | null {
  const path = textAt(recordAt(config, 'files'), 'vmPathName')
  return path === null || path === '' ? null : parseDatastorePath(path)
}

/** vCenter's file list names it; else the VM's own setting, beside the .vmx; else its usual name there. */
function nvramPathOf({ config, vm }: Gathered, vmxFile: DatastorePath | null): DatastorePath | null {
  const listed = recordsOf(vm.get('layoutEx.file')).find((file) => textAt(file, 'type') === 'nvram')
  const listedName = listed === undefined ? null : textAt(listed, 'name')
  if (listedName !== null) return parseDatastorePath(listedName)
  if (vmxFile === null) return null
  const name = extraConfigOf(config)['nvram'] ?? vmxFile.path.replace(/^.*\//, '').replace(/\.vmx$/, '.nvram')
  return { datastore: vmxFile.datastore, path: vmxFile.path.replace(/[^/]*$/, name) }
}

/** A .vmx says its own encoding and is UTF-8 nearly always; other bytes are kept one character each. */
function textOf(bytes: Buffer): string {
  try {
    return utf8Decode(bytes)
  } catch {
    return bytes.toString('latin1')
  }
}
