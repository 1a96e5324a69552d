// State records as JSON text and back: runs, jobs, attempts, shared resources. Strict: an unknown key is a newer
// program's, and writing the record back would lose it.

import * as z from 'zod'
import { BackupError } from '../base/errors.ts'
import type { Footing } from '../model/admission.ts'
import type { GradeRecord } from '../model/grade.ts'
import type { GuestTrust } from '../model/guest.ts'
import { type Attempt, type Capture, type Claim, type Debt, JOB_STATES, type Job } from '../model/job.ts'
import type { Notice, Outcome } from '../model/outcome.ts'
import type { Resource } from '../model/places.ts'
import type { DiskAudit, ExcludedDisk } from '../model/point.ts'
import type { Run } from '../model/run.ts'
import { NO_JOB_USAGE, NO_USAGE } from '../model/usage.ts'
import type { VmHistory } from '../model/vm-history.ts'
import { gradeProof, guestState, guestTrust } from './guest-record.ts'
import { grade, policyRecord } from './policy-record.ts'
import { alarmId, attemptNumber, count, jobId, moref, parseJson, pointId, runId, time, vmId } from './scalars.ts'
import { usage } from './usage.ts'
import { powerState, vmConfig, vmDisk } from './vm.ts'

export const notice = z.strictObject({
  code: z.string(),
  message: z.string(),
  hint: z.string().nullable(),
}) satisfies z.ZodType<Notice>

export const outcome = z.strictObject({
  kind: z.enum(['success', 'warning', 'failed', 'skipped']),
  code: z.string(),
  message: z.string(),
  hint: z.string().nullable(),
}) satisfies z.ZodType<Outcome>

const gradeReached = z.enum(['application', 'filesystem', 'crash', 'offline'])

export const gradeRecord = z.strictObject({
  requested: grade,
  reached: gradeReached,
  quiesced: z.boolean(),
  method: z.enum(['tools', 'windows-vss', 'scripts', 'none']),
  freezeMs: z.number().min(0),
  snapshotMs: z.number().min(0),
  fallbacks: z.array(z.string()),
  proof: gradeProof.nullable().default(null),
}) satisfies z.ZodType<GradeRecord>

export const excludedDisk = z.strictObject({
  key: z.int(),
  label: z.string(),
  fileName: z.string(),
  reason: z.string(),
}) satisfies z.ZodType<ExcludedDisk>

const jobStage = z.enum(['prepare', 'capture', 'transfer', 'commit', 'release', 'finish'])

const claim = z.strictObject({
  stage: z.enum([...jobStage.options, 'abandon']),
  invocation: z.string(),
  untilMs: z.number(),
}) satisfies z.ZodType<Claim>

const debt = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('place'), resource: z.string() }),
  z.strictObject({ kind: z.literal('snapshot'), name: z.string() }),
  z.strictObject({ kind: z.literal('guest'), token: z.string() }),
  z.strictObject({ kind: z.literal('hot-disk'), moverVm: moref }),
  z.strictObject({
    kind: z.literal('mover'),
    attempt: attemptNumber,
    clientToken: z.string(),
    // Records of before there were placements have none.
    placement: count.default(0),
    taskId: z.string().nullable(),
  }),
  z.strictObject({ kind: z.literal('annotation'), attempt: attemptNumber }),
]) satisfies z.ZodType<Debt>

const capture = z.strictObject({
  snapshotName: z.string(),
  snapshot: moref,
  takenAt: time,
  powerState,
  grade: gradeRecord,
  config: vmConfig,
  disks: z.array(vmDisk),
  excludedDisks: z.array(excludedDisk),
}) satisfies z.ZodType<Capture>

const counts = z.strictObject({ readBytes: count, newPlainBytes: count, storedBytes: count })

const named = z.strictObject({ moref, name: z.string() })

const footing = z.strictObject({
  vcenterId: z.string().nullable(),
  host: named.nullable(),
  datastores: z.array(named),
  diskBytes: count,
}) satisfies z.ZodType<Footing>

const job = z.strictObject({
  id: jobId,
  runId,
  vm: z.strictObject({ moref, vmId, name: z.string(), datacenter: z.string() }),
  policy: policyRecord,
  groups: z.array(z.string()).default([]),
  full: z.boolean(),
  attempt: attemptNumber,
  state: z.enum(JOB_STATES),
  claim: claim.nullable(),
  nextStage: jobStage.nullable(),
  wakeAtMs: z.number().nullable(),
  round: count,
  waitSinceMs: z.number().nullable(),
  failingSinceMs: z.number().nullable(),
  waitsFor: z.string().nullable(),
  // Jobs of before there was cancelling have none.
  cancelRequestedAt: time.nullable().default(null),
  outcome: outcome.nullable(),
  // Jobs of before there were schedules have none.
  beginBefore: time.nullable().default(null),
  owes: z.array(debt),
  freezeDeadlineMs: z.number().nullable(),
  // Records of before guest processing have none of these; those of before admission no footing and no grant.
  freezes: count.default(0),
  footing: footing.nullable().default(null),
  grant: z.strictObject({ connections: count, bufferBytes: count }).nullable().default(null),
  guest: guestState.nullable().default(null),
  evidence: z.array(z.strictObject({ name: z.string(), text: z.string() })).default([]),
  notices: z.array(notice),
  tracking: z.strictObject({ active: z.boolean(), reason: z.string().nullable() }),
  excludedDisks: z.array(excludedDisk),
  capture: capture.nullable(),
  unlistedSinceMs: z.number().nullable().default(null),
  snapshotWatch: z
    .strictObject({
      sinceMs: z.number(),
      lookedAtMs: z.number(),
      growthBytes: z.number().min(0).nullable(),
      removalAtMs: z.number().nullable(),
    })
    .nullable()
    .default(null),
  pointId: pointId.nullable(),
  times: z.strictObject({
    createdAt: time,
    startedAt: time.nullable(),
    capturedAt: time.nullable(),
    transferredAt: time.nullable(),
    committedAt: time.nullable(),
    releasedAt: time.nullable(),
    doneAt: time.nullable(),
  }),
  counts,
  // Records of before it was measured have none.
  usage: z.strictObject({ stages: usage, tasks: usage }).default(NO_JOB_USAGE),
}) satisfies z.ZodType<Job>

const run = z.strictObject({
  id: runId,
  door: z.enum(['schedule', 'api', 'alarm']),
  policy: policyRecord,
  vms: z.array(z.string()).nullable(),
  full: z.boolean(),
  requestedAt: time,
  // Records of before the API have neither.
  requestedBy: z.string().nullable().default(null),
  cancelRequestedAt: time.nullable().default(null),
  scheduledAt: time.nullable().default(null),
  state: z.enum(['requested', 'planned', 'refused']),
  wakeAtMs: z.number().nullable(),
  jobIds: z.array(jobId),
  refusal: outcome.nullable(),
  leftOut: z
    .array(z.strictObject({ code: z.string(), message: z.string(), count, names: z.array(z.string()) }))
    .default([]),
}) satisfies z.ZodType<Run>

const diskAudit = z.strictObject({
  slot: count,
  slots: count,
  unitBytes: count,
  chunks: count,
  readBytes: count,
  mismatches: count,
}) satisfies z.ZodType<DiskAudit>

const attempt = z.strictObject({
  jobId,
  attempt: attemptNumber,
  holder: z.string(),
  heldUntilMs: z.number(),
  progress: z.array(
    z.strictObject({
      key: z.int(),
      label: z.string(),
      totalBytes: count,
      doneBytes: count,
      transport: z.string(),
    }),
  ),
  usage: usage.default(NO_USAGE),
  result: z
    .discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('sealed'),
        pointId,
        sequence: z.int().min(1),
        counts,
        notices: z.array(notice),
        // Attempts of before there was an audit have none.
        audits: z.array(z.strictObject({ key: z.int(), label: z.string(), audit: diskAudit })).default([]),
        trackingFault: z
          .strictObject({ kind: z.enum(['lied', 'broken']), reason: z.string() })
          .nullable()
          .default(null),
      }),
      z.strictObject({
        kind: z.literal('failed'),
        code: z.string(),
        message: z.string(),
        hint: z.string().nullable(),
        retry: z.enum(['no', 'later', 'as-full']),
      }),
    ])
    .nullable(),
}) satisfies z.ZodType<Attempt>

const resource = z.strictObject({
  name: z.string(),
  places: z.array(z.strictObject({ holder: z.string(), units: z.number(), untilMs: z.number() })),
  // Records of before admission have none.
  waiters: z
    .array(z.strictObject({ holder: z.string(), units: z.number(), sinceMs: z.number(), untilMs: z.number() }))
    .default([]),
}) satisfies z.ZodType<Resource>

const orNull = z.number().min(0).nullable()

const alarmMark = z.strictObject({ since: time, alarmId, alarmName: z.string() })

const vmHistory = z.strictObject({
  vmId,
  name: z.string(),
  trackingReset: z.strictObject({ since: time, reason: z.string() }).nullable(),
  lastReset: z.strictObject({ at: time, reason: z.string() }).nullable().default(null),
  snapshots: z.array(
    z.strictObject({
      jobId,
      takenAt: time,
      freezeMs: z.number().min(0),
      createMs: z.number().min(0),
      removeMs: orNull,
      aliveMs: orNull,
      growthBytes: orNull,
    }),
  ),
  lastSuccess: z
    .strictObject({ at: time, pointId, grade: gradeReached, tookMs: z.number().min(0) })
    .nullable()
    .default(null),
  failures: z
    .strictObject({ inRow: z.int().min(1), at: time })
    .nullable()
    .default(null),
  hunt: z
    .strictObject({ tries: count, triedAt: time, reason: z.string(), snapshot: z.string().nullable().default(null) })
    .nullable(),
  // Histories of before alarms have none of these.
  lastAlarm: z.strictObject({ at: time, alarmId }).nullable().default(null),
  quarantine: alarmMark.nullable().default(null),
  retentionFreeze: alarmMark.nullable().default(null),
  lifted: z
    .array(
      alarmMark.extend({
        what: z.enum(['quarantine', 'retention-freeze']),
        liftedAt: time,
        by: z.string(),
        reason: z.string(),
      }),
    )
    .default([]),
}) satisfies z.ZodType<VmHistory>

/** One kind of record: both ways through text. The text is `{"v":1,"value":…}`. */
export type RecordCodec<Value> = {
  encode(value: Value): string
  /** @throws BackupError `state-malformed` */
  parse(text: string): Value
}

export const jobRecord: RecordCodec<Job> = codec('job', job)
export const runRecord: RecordCodec<Run> = codec('run', run)
export const attemptRecord: RecordCodec<Attempt> = codec('attempt', attempt)
export const resourceRecord: RecordCodec<Resource> = codec('resource', resource)
export const vmHistoryRecord: RecordCodec<VmHistory> = codec('vm', vmHistory)
export const guestTrustRecord: RecordCodec<GuestTrust> = codec('guest', guestTrust)

/** @param what names the record in errors */
export function codec<Value>(what: string, value: z.ZodType<Value>): RecordCodec<Value> {
  const schema = z.strictObject({ v: z.literal(1), value })
  return {
    encode: (record) => JSON.stringify({ v: 1, value: record }),
    parse: (text) =>
      parseJson(text, {
        schema,
        refuse: (reason) =>
          new BackupError(`Cannot read the state record of a ${what}: ${reason}`, {
            code: 'state-malformed',
            hint: 'It was written by another version of Coldframe; finish its jobs with that version',
            facts: { what, reason },
          }),
      }).value,
  }
}
