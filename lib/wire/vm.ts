// Schemas of a VM's description as jobs and restore points keep it.

import * as z from 'zod'
import type { VmConfig, VmController, VmDisk, VmNic } from '../model/vm.ts'
import { count, vmId } from './scalars.ts'

export const powerState = z.enum(['poweredOn', 'poweredOff', 'suspended'])

export const vmDisk = z.strictObject({
  key: z.int(),
  label: z.string(),
  capacityBytes: count,
  controllerKey: z.int(),
  unitNumber: z.int(),
  mode: z.enum([
    'persistent',
    'nonpersistent',
    'undoable',
    'append',
    'independent_persistent',
    'independent_nonpersistent',
  ]),
  backing: z.enum(['flat', 'rdm-physical', 'rdm-virtual', 'sparse', 'sesparse', 'other']),
  fileName: z.string(),
  parents: z.array(z.string()),
  uuid: z.string().nullable(),
  changeId: z.string().nullable(),
  thin: z.boolean().nullable(),
  encrypted: z.boolean(),
  sharing: z.boolean(),
}) satisfies z.ZodType<VmDisk>

const vmController = z.strictObject({
  key: z.int(),
  type: z.string(),
  busNumber: z.int(),
  sharedBus: z.string().nullable(),
}) satisfies z.ZodType<VmController>

const vmNic = z.strictObject({
  key: z.int(),
  type: z.string(),
  label: z.string(),
  macAddress: z.string(),
  addressType: z.string(),
  network: z.string(),
  connected: z.boolean(),
  startConnected: z.boolean(),
}) satisfies z.ZodType<VmNic>

export const vmConfig = z.strictObject({
  name: z.string(),
  vmId,
  biosUuid: z.string(),
  annotation: z.string(),
  hardwareVersion: z.string(),
  guestId: z.string(),
  guestFullName: z.string(),
  firmware: z.enum(['bios', 'efi']),
  secureBoot: z.boolean(),
  cpus: count,
  coresPerSocket: count,
  memoryMB: count,
  folder: z.string(),
  resourcePool: z.string().nullable(),
  extraConfig: z.record(z.string(), z.string()),
  controllers: z.array(vmController),
  nics: z.array(vmNic),
  disks: z.array(vmDisk),
  otherDevices: z.array(z.strictObject({ key: z.int(), type: z.string(), label: z.string() })),
  vmx: z.string().nullable(),
  nvramBase64: z.base64().nullable(),
  missing: z.array(z.string()),
}) satisfies z.ZodType<VmConfig>
