// The sealed part of a restore point as JSON: what the VM was, how its disks were read, how consistent it is.

import * as z from 'zod'
import type { GradeProof, GradeRecord } from '../../model/grade.ts'
import { parseVmId } from '../../model/ids.ts'
import type { DiskAudit, PointBody } from '../../model/point.ts'
import type { VmConfig, VmDisk } from '../../model/vm.ts'
import { usage } from '../usage.ts'

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

const gradeProof = z.object({
  family: z.enum(['linux', 'windows']).nullable(),
  attempts: z.array(
    z.object({
      channel: z.enum(['ssh', 'winrm', 'vix']),
      address: textOrNull,
      outcome: z.enum(['opened', 'unreachable', 'refused', 'impossible']),
      reason: text,
    }),
  ),
  user: textOrNull,
  elevated: z.boolean().nullable(),
  scripts: z.array(
    z.object({
      stage: z.enum(['pre-freeze', 'post-thaw', 'post-commit']),
      exitCode: z.int().nullable(),
      timedOut: z.boolean(),
      succeeded: z.boolean(),
      elapsedMs: whole,
      stderr: text,
    }),
  ),
  thawedBy: z.enum(['capture', 'timer', 'watch', 'release', 'next-freeze']).nullable(),
  vss: z
    .object({
      context: z.enum(['ctx_auto', 'ctx_backup']),
      backupType: z.enum(['copy', 'full']),
      writers: z.array(text),
      manifestBase64: textOrNull,
      absence: textOrNull,
    })
    .nullable(),
}) satisfies z.ZodType<GradeProof>

const grade = z.object({
  requested: z.enum(['application', 'filesystem', 'crash']),
  reached: z.enum(['application', 'filesystem', 'crash', 'offline']),
  quiesced: z.boolean(),
  method: z.enum(['tools', 'windows-vss', 'scripts', 'none']),
  freezeMs: z.number().min(0),
  snapshotMs: z.number().min(0),
  fallbacks: z.array(text),
  // Points of before guest processing have none.
  proof: gradeProof.nullable().default(null),
}) satisfies z.ZodType<GradeRecord>

const diskAudit = z.object({
  slot: whole,
  slots: whole,
  unitBytes: whole,
  chunks: whole,
  readBytes: whole,
  mismatches: whole,
}) satisfies z.ZodType<DiskAudit>

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
      // Points of before there were codes have none.
      readModeCode: textOrNull.default(null),
      audit: diskAudit.nullable().default(null),
      transport: z.enum(['san', 'hotadd', 'nbdssl', 'nbd', 'datastore', 'lease', 'image']),
      readBytes: whole,
      newChunks: whole,
      newPlainBytes: whole,
      newStoredBytes: whole,
    }),
  ),
  excludedDisks: z.array(z.object({ key, label: text, fileName: text, reason: text })),
  notices: z.array(z.object({ code: text, message: text, hint: textOrNull })),
  // Points of before it was measured have none.
  usage: usage.nullable().default(null),
  storedBytes: whole,
}) satisfies z.ZodType<PointBody>
