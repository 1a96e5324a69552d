// A new, powered-off VM with blank disks from a captured config.

import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Moref } from '../../model/ids.ts'
import type { VmConfig } from '../../model/vm.ts'
import { parseDatastorePath, writeSmallFile } from './folder.ts'
import { encodeName } from './places.ts'
import { readObject } from './properties.ts'
import { chooseTarget, type RestoreTarget } from './restore-target.ts'
import type { VimSession } from './session.ts'
import { runTask } from './tasks.ts'
import { anyText, isRef, type Ref, record, recordsOf, replyMalformed, textAt, typed, type VimRecord } from './values.ts'

export type CreateRequest = {
  readonly config: VmConfig
  readonly name: string
  readonly datacenter: string
  readonly cluster: string
  readonly datastore: string
}

/** Settings that belong to the VM; all others are made by the server or belong to the old place. */
const keptSettings =
  /^(bios\.|cpuid\.|devices\.hotplug$|disk\.enableUUID$|efi\.|guestinfo\.|hypervisor\.|isolation\.|mks\.|monitor_control\.|numa\.|pciPassthru\.|RemoteDisplay\.|svga\.|tools\.|vhv\.)/i

/** @throws BackupError `restore-target-not-found`, `vm-name-taken`; others as tasks throw them */
export async function createVm(
  session: VimSession,
  request: CreateRequest,
  cancel: Cancel,
): Promise<{ readonly vm: Moref; readonly missing: readonly string[] }> {
  const what = `Cannot create the VM "${request.name}"`
  const target = await chooseTarget(session, { ...request, folder: request.config.folder, what }, cancel)
  const missing = [...target.missing, ...lostInCreation(request.config)]
  const args = {
    config: specOf(request, { target, missing }),
    pool: target.pool,
    ...(target.host === null ? {} : { host: target.host }),
  }
  const created = await runTask(session, { method: 'CreateVM_Task', target: target.folder, args, what }, cancel)
  if (created === null || !isRef(created)) throw replyMalformed('the task gives no VM')
  const { nvramBase64 } = request.config
  if (nvramBase64 !== null) {
    const bytes = Buffer.from(nvramBase64, 'base64')
    const reason = await uploadNvram(session, { vm: created, bytes, datacenter: request.datacenter }, cancel)
    if (reason !== null) missing.push(`.nvram: ${reason}`)
  }
  return { vm: created.value, missing }
}

function specOf(
  { config, name, datastore }: CreateRequest,
  { target, missing }: { readonly target: RestoreTarget; readonly missing: string[] },
): VimRecord {
  const settings = Object.entries(config.extraConfig).filter(([key]) => keptSettings.test(key))
  return record({
    name: encodeName(name),
    version: config.hardwareVersion === '' ? undefined : config.hardwareVersion,
    uuid: config.biosUuid === '' ? undefined : config.biosUuid,
    guestId: config.guestId === '' ? undefined : config.guestId,
    annotation: config.annotation,
    files: record({ vmPathName: `[${datastore}]` }),
    numCPUs: config.cpus,
    numCoresPerSocket: config.coresPerSocket,
    memoryMB: config.memoryMB,
    deviceChange: [
      ...config.controllers.filter(({ type }) => type !== 'VirtualIDEController').map(controllerSpec),
      ...config.disks.map((disk) => diskSpec(disk, datastore)),
      ...nicSpecs(config, { target, missing }),
    ],
    extraConfig: settings.map(([key, value]) => record({ key, value: anyText(value) })),
    bootOptions: config.firmware === 'efi' ? record({ efiSecureBootEnabled: config.secureBoot }) : undefined,
    firmware: config.firmware,
  })
}

function controllerSpec({ key, type, busNumber, sharedBus }: VmConfig['controllers'][number]): VimRecord {
  const scsi = sharedBus === null ? {} : { sharedBus }
  return record({ operation: 'add', device: typed(type, { key, busNumber, ...scsi }) })
}

/** The captured keys are kept where the server keeps keys: it derives them from controller and unit. */
function diskSpec(disk: VmConfig['disks'][number], datastore: string): VimRecord {
  const backing = typed('VirtualDiskFlatVer2BackingInfo', {
    fileName: `[${datastore}]`,
    diskMode: disk.mode,
    thinProvisioned: true,
  })
  const device = typed('VirtualDisk', {
    key: disk.key,
    backing,
    controllerKey: disk.controllerKey,
    unitNumber: disk.unitNumber,
    capacityInKB: Math.ceil(disk.capacityBytes / 1024),
    capacityInBytes: disk.capacityBytes,
  })
  return record({ operation: 'add', fileOperation: 'create', device })
}

function nicSpecs(
  { nics }: VmConfig,
  { target, missing }: { readonly target: RestoreTarget; readonly missing: string[] },
): readonly VimRecord[] {
  const specs: VimRecord[] = []
  for (const nic of nics) {
    const backing = target.networks.get(nic.network)
    if (backing === undefined) {
      missing.push(`${nic.label}: the network "${nic.network}" does not exist in "${target.datacenter}"`)
      continue
    }
    const connectable = record({ startConnected: nic.startConnected, allowGuestControl: true, connected: false })
    const address =
      nic.macAddress === '' ? {} : { addressType: nic.addressType || 'manual', macAddress: nic.macAddress }
    specs.push(
      record({ operation: 'add', device: typed(nic.type, { key: nic.key, backing, connectable, ...address }) }),
    )
  }
  return specs
}

function lostInCreation(config: VmConfig): readonly string[] {
  return [
    ...config.otherDevices.map(({ label, type }) => `${label} (${type}): not recreated`),
    ...config.disks
      .filter(({ backing }) => backing === 'rdm-physical' || backing === 'rdm-virtual')
      .map(({ label }) => `${label}: a raw device mapping, recreated as a virtual disk`),
    ...config.disks.filter(({ encrypted }) => encrypted).map(({ label }) => `${label}: recreated without encryption`),
    ...config.disks
      .filter(({ sharing }) => sharing)
      .map(({ label }) => `${label}: recreated without multi-writer sharing`),
  ]
}

/** @returns why the file could not be put in place; null when it is */
async function uploadNvram(
  session: VimSession,
  { vm, bytes, datacenter }: { readonly vm: Ref; readonly bytes: Uint8Array; readonly datacenter: string },
  cancel: Cancel,
): Promise<string | null> {
  try {
    const asked = {
      ref: vm,
      paths: ['config.files.vmPathName', 'config.extraConfig'],
      what: 'Cannot place the .nvram file',
    }
    const values = await readObject(session, asked, cancel)
    const vmx = parseDatastorePath(String(values.get('config.files.vmPathName') ?? ''))
    const named = recordsOf(values.get('config.extraConfig')).find((option) => textAt(option, 'key') === 'nvram')
    const own = named?.fields.get('value')
    const name = typeof own === 'string' && own !== '' ? own : vmx.path.replace(/^.*\//, '').replace(/\.vmx$/, '.nvram')
    const file = { datastore: vmx.datastore, path: vmx.path.replace(/[^/]*$/, name) }
    await writeSmallFile(session, { file, place: { datacenter }, bytes }, cancel)
    return null
  } catch (error) {
    if (error instanceof BackupError) return error.message
    throw error
  }
}
