// State records of the doors as JSON text and back: policies, operations, alarms, listed points, and what a door remembers.

import * as z from 'zod'
import type { AlarmRecord } from '../model/alarm.ts'
import type { DoorState } from '../model/door-state.ts'
import type { Operation } from '../model/operation.ts'
import type { PointEntry } from '../model/point-entry.ts'
import type { StoredPolicy } from '../model/stored-policy.ts'
import { codec, gradeRecord, outcome, type RecordCodec } from './job.ts'
import { alarmAction, policyRecord } from './policy-record.ts'
import { alarmId, attemptNumber, count, jobId, operationId, pointId, policyName, runId, time, vmId } from './scalars.ts'

const storedPolicy = z.strictObject({
  name: policyName,
  policy: policyRecord,
  text: z.string(),
  sha256: z.string(),
  appliedAt: time,
  appliedBy: z.string(),
  state: z.enum(['active', 'removed']),
}) satisfies z.ZodType<StoredPolicy>

const operation = z.strictObject({
  id: operationId,
  request: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('restore'),
      point: z.string(),
      disks: z.array(z.int()).nullable(),
      target: z.discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('bucket'), bucket: z.string(), prefix: z.string() }),
        z.strictObject({ kind: z.literal('folder'), folder: z.string() }),
      ]),
    }),
    z.strictObject({ kind: z.literal('verify'), point: z.string().nullable(), deep: z.boolean() }),
  ]),
  requestedAt: time,
  requestedBy: z.string(),
  state: z.enum(['requested', 'started', 'running', 'done']),
  attempt: attemptNumber,
  round: count,
  wakeAtMs: z.number().nullable(),
  clientToken: z.string().nullable(),
  placement: count,
  taskId: z.string().nullable(),
  attemptSinceMs: z.number(),
  failingSinceMs: z.number().nullable(),
  waitsFor: z.string().nullable(),
  cancelRequestedAt: time.nullable(),
  holder: z.string().nullable(),
  heldUntilMs: z.number().nullable(),
  point: z.strictObject({ vmId, sequence: z.int().min(1), pointId }).nullable(),
  progress: z.array(z.strictObject({ label: z.string(), totalBytes: count, doneBytes: count })),
  failure: outcome.nullable(),
  outcome: outcome.nullable(),
  result: z.array(z.string()),
  doneAt: time.nullable(),
}) satisfies z.ZodType<Operation>

const alarm = z.strictObject({
  alarm: z.strictObject({
    id: alarmId,
    source: z.enum(['vcf-operations', 'cloudevents', 'vcenter-script', 'snmp', 'vcenter-events']),
    vcenterId: z.string().nullable(),
    alarmName: z.string(),
    state: z.enum(['raised', 'cleared', 'unknown']).default('unknown'),
    from: z.string().nullable(),
    to: z.string().nullable(),
    criticality: z.string().nullable(),
    target: z.strictObject({
      moref: z.string().nullable(),
      instanceUuid: z.string().nullable(),
      name: z.string().nullable(),
      kind: z.string().nullable(),
    }),
    message: z.string().nullable().default(null),
    occurredAt: time.nullable(),
    receivedAt: time,
  }),
  decision: z
    .strictObject({
      kind: z.enum(['acted', 'recorded', 'put-off']),
      code: z.string(),
      message: z.string(),
      action: alarmAction.nullable(),
      policy: policyName.nullable().default(null),
      runId: runId.nullable(),
      at: time,
    })
    .nullable(),
  wakeAtMs: z.number().nullable(),
}) satisfies z.ZodType<AlarmRecord>

const pointEntry = z.strictObject({
  pointId,
  vmId,
  vmName: z.string(),
  sequence: z.int().min(1),
  capturedAt: time,
  committedAt: time,
  grade: gradeRecord.shape.reached,
  policyName,
  jobId,
  disks: z.array(z.strictObject({ key: z.int(), label: z.string(), capacityBytes: count })),
  storedBytes: count,
}) satisfies z.ZodType<PointEntry>

const door = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('checkpoint'), at: time, keys: z.array(z.int()) }),
  z.strictObject({
    kind: z.literal('rpo'),
    at: time,
    watched: z.array(z.strictObject({ vmId, name: z.string(), missedAt: time, told: z.boolean() })),
  }),
  z.strictObject({
    kind: z.literal('alarms'),
    day: z.string(),
    spent: count,
    lastRunAtMs: z.number().nullable(),
    dueAtMs: z.number().nullable(),
    starting: z
      .strictObject({
        verdict: z.enum(['run', 'budget-spent', 'policy-removed']),
        key: z.string(),
        count,
        atMs: z.number(),
      })
      .nullable(),
    waiting: z.array(z.strictObject({ alarmId, vmId, rank: count, atMs: z.number() })),
  }),
]) satisfies z.ZodType<DoorState>

export const storedPolicyRecord: RecordCodec<StoredPolicy> = codec('policy', storedPolicy)
export const operationRecord: RecordCodec<Operation> = codec('operation', operation)
export const alarmRecord: RecordCodec<AlarmRecord> = codec('alarm', alarm)
export const pointEntryRecord: RecordCodec<PointEntry> = codec('point', pointEntry)
export const doorRecord: RecordCodec<DoorState> = codec('door', door)
