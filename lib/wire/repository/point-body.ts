// The sealed part of a restore point as JSON: what the VM was, how its disks were read, how consistent it is.

import * as z from 'zod'
import type { GradeRecord } from '../../model/grade.ts'
import { parseVmId } from '../../model/ids.ts'
import type { PointBody } from '../../model/point.ts'
import type { VmConfig, VmDisk } from '../../model/vm.ts'

const text = z.string()
const textOrNull = z.string().nullable()
const whole = z.int().min(0)
const key = z.int()

const vmDisk = z.object({
  key,
  label: text,
  capacityBytes: whole,
  controllerKey: key,
  unitNumber: key,
  mode: z.enum([
    'persistent',
    'nonpersistent',
    'undoable',
    'append',
    'independent_persistent',
    'independent_nonpersistent',
  ]),
  backing: z.enum(['flat', 'rdm-physical', 'rdm-virtual', 'sparse', 'sesparse', 'other']),
  fileName: text,
  parents: z.array(text),
  uuid: textOrNull,
  changeId: textOrNull,
  thin: z.boolean().nullable(),
  encrypted: z.boolean(),
  sharing: z.boolean(),
}) satisfies z.ZodType<VmDisk>

const vmConfig = z.object({
  name: text,
  vmId: text.transform(parseVmId),
  biosUuid: text,
  annotation: text,
  hardwareVersion: text,
  guestId: text,
  guestFullName: text,
  firmware: z.enum(['bios', 'efi']),
  secureBoot: z.boolean(),
  cpus: whole,
  coresPerSocket: whole,
  memoryMB: whole,
  folder: text,
  resourcePool: textOrNull,
  extraConfig: z.record(text, text),
  controllers: z.array(z.object({ key, type: text, busNumber: key, sharedBus: textOrNull })),
  nics: z.array(
    z.object({
      key,
      type: text,
      label: text,
      macAddress: text,
      addressType: text,
      network: text,
      connected: z.boolean(),
      startConnected: z.boolean(),
    }),
  ),
  disks: z.array(vmDisk),
  otherDevices: z.array(z.object({ key, type: text, label: text })),
  vmx: textOrNull,
  nvramBase64: textOrNull,
  missing: z.array(text),
}) satisfies z.ZodType<VmConfig>

const grade = z.object({
  requested: z.enum(['application', 'filesystem', 'crash']),
  reached: z.enum(['application', 'filesystem', 'crash', 'offline']),
  quiesced: z.boolean(),
  method: z.enum(['tools', 'windows-vss', 'scripts', 'none']),
  freezeMs: z.number().min(0),
  snapshotMs: z.number().min(0),
  fallbacks: z.array(text),
}) satisfies z.ZodType<GradeRecord>

/** Members a writer adds later are optional here, or named in the envelope's `required`. */
export const pointBodyJson = z.object({
  vmName: text,
  vcenterId: textOrNull,
  snapshotName: text,
  policyName: text,
  writer: text,
  grade,
  config: vmConfig,
  disks: z.array(
    z.object({
      key,
      label: text,
      capacityBytes: whole,
      chunkLog2: z.int().min(16).max(22),
      fileName: text,
      backingUuid: textOrNull,
      changeId: textOrNull,
      readMode: z.enum(['full', 'incremental', 'differential']),
      readModeReason: textOrNull,
      transport: z.enum(['san', 'hotadd', 'nbdssl', 'nbd', 'datastore', 'lease', 'image']),
      readBytes: whole,
      newChunks: whole,
      newPlainBytes: whole,
      newStoredBytes: whole,
    }),
  ),
  excludedDisks: z.array(z.object({ key, label: text, fileName: text, reason: text })),
  notices: z.array(z.object({ code: text, message: text, hint: textOrNull })),
  storedBytes: whole,
}) satisfies z.ZodType<PointBody>
