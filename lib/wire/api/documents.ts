// What the HTTP API answers: the schema of every document. Clients may meet fields that they do not know; they leave them alone.

import * as z from 'zod'
import { JOB_STATES } from '../../model/job.ts'

const time = z.iso.datetime().describe('ISO 8601, UTC')
const count = z.int().min(0)
const id = z.string().regex(/^[0-9a-f]{32}$/)

export const outcome = z
  .object({
    kind: z.enum(['success', 'warning', 'failed', 'skipped']),
    code: z.string().describe('Stable, for programs'),
    message: z.string(),
    hint: z.string().nullable(),
  })
  .describe('How something ended')

const notice = outcome.omit({ kind: true })

const tally = z.object({ success: count, warning: count, failed: count, skipped: count })

export const runDocument = z.object({
  id,
  state: z
    .enum(['requested', 'planned', 'running', 'committed', 'done', 'refused'])
    .describe(
      'requested: not planned yet. planned: in lists, where its jobs are not looked at. running: some job has neither its restore point nor its end. committed: every job has one of both; points lie locked in the repository, snapshots are being removed. done: every job has ended. refused: nothing was planned, see refusal',
    ),
  door: z.enum(['schedule', 'api', 'alarm']),
  policy: z.string(),
  vms: z.array(z.string()).nullable().describe('Those that were named; null: what the policy selects'),
  full: z.boolean(),
  requestedAt: time,
  requestedBy: z.string().nullable(),
  cancelRequestedAt: time.nullable(),
  refusal: outcome.nullable(),
  jobs: z
    .object({
      total: count,
      done: count,
      committed: count.describe('Jobs whose restore point is written'),
      outcomes: tally,
    })
    .nullable()
    .describe('Null in lists'),
})

const progress = z.object({ doneBytes: count, totalBytes: count }).describe('Of all disks together')

export const jobDocument = z.object({
  id,
  runId: id,
  vm: z.object({ name: z.string(), vmId: z.string(), moref: z.string() }),
  policy: z.string(),
  state: z.enum(JOB_STATES),
  outcome: outcome.nullable(),
  pointId: id.nullable().describe('Only once the restore point is written'),
  sequence: z.int().min(1).nullable(),
  grade: z.enum(['application', 'filesystem', 'crash', 'offline']).nullable(),
  attempt: z.int().min(1),
  times: z.object({
    createdAt: time,
    startedAt: time.nullable(),
    capturedAt: time.nullable(),
    transferredAt: time.nullable(),
    committedAt: time.nullable(),
    releasedAt: time.nullable(),
    doneAt: time.nullable(),
  }),
  counts: z.object({ readBytes: count, newPlainBytes: count, storedBytes: count }),
  notices: z.array(notice),
  waitsFor: z.string().nullable(),
  nextStage: z.string().nullable(),
  wakeAt: time.nullable(),
  cancelRequestedAt: time.nullable(),
  progress: progress.nullable(),
  disks: z.array(
    z.object({ key: z.int(), label: z.string(), totalBytes: count, doneBytes: count, transport: z.string() }),
  ),
})

export const pointDocument = z.object({
  id,
  vm: z.string(),
  vmId: z.string(),
  sequence: z.int().min(1),
  capturedAt: time,
  committedAt: time,
  grade: z.enum(['application', 'filesystem', 'crash', 'offline']),
  policy: z.string(),
  jobId: id,
  disks: z.array(z.object({ key: z.int(), label: z.string(), capacityBytes: count })),
  storedBytes: count,
})

export const operationDocument = z.object({
  id,
  kind: z.enum(['restore', 'verify']),
  point: z.string().nullable().describe('As it was asked for; null: every restore point'),
  resolved: z
    .object({ vmId: z.string(), sequence: z.int().min(1), pointId: id })
    .nullable()
    .describe('Which restore point that is, once a task has looked'),
  target: z.string().nullable().describe('Where disks go; null for a check'),
  disks: z.array(z.int()).nullable(),
  deep: z.boolean().nullable(),
  state: z.enum(['requested', 'started', 'running', 'done']),
  attempt: z.int().min(1),
  requestedAt: time,
  requestedBy: z.string(),
  cancelRequestedAt: time.nullable(),
  waitsFor: z.string().nullable(),
  progress: z.array(z.object({ label: z.string(), totalBytes: count, doneBytes: count })),
  outcome: outcome.nullable(),
  result: z.array(z.string()).describe('Objects that were written, or what was found, a line each'),
  doneAt: time.nullable(),
})

export const policyDocument = z.object({
  name: z.string(),
  state: z.enum(['active', 'removed']),
  schedule: z
    .object({
      cron: z.string().nullable(),
      rateMs: count.nullable(),
      rpoMs: count.nullable(),
      timeZone: z.string(),
      windowOpen: z.string().nullable(),
      windowClose: z.string().nullable(),
      jitterMs: count,
    })
    .nullable(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  appliedAt: time,
  appliedBy: z.string(),
})

export const policyTextDocument = policyDocument.extend({ text: z.string().describe('The YAML as it was applied') })

export const alarmDocument = z.object({
  id,
  source: z.string(),
  alarm: z.string(),
  vm: z.string().nullable(),
  criticality: z.string().nullable(),
  receivedAt: time,
  decision: z
    .object({
      kind: z.enum(['acted', 'recorded', 'put-off']),
      code: z.string(),
      message: z.string(),
      action: z.string().nullable(),
      runId: id.nullable(),
      at: time,
    })
    .nullable(),
})

export const problemDocument = z
  .object({
    type: z.string().describe('urn:coldframe:problem:<code>'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().describe('Stable, for programs'),
    hint: z.string().nullable(),
    facts: z.record(z.string(), z.unknown()),
  })
  .describe('Problem Details for HTTP APIs (RFC 9457)')

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    next: z.string().nullable().describe('Give it as "cursor" to go on; null: this was the last page'),
  })
}

export type RunDocument = z.infer<typeof runDocument>
export type JobDocument = z.infer<typeof jobDocument>
export type PointDocument = z.infer<typeof pointDocument>
export type OperationDocument = z.infer<typeof operationDocument>
export type PolicyDocument = z.infer<typeof policyDocument>
export type PolicyTextDocument = z.infer<typeof policyTextDocument>
export type ProblemDocument = z.infer<typeof problemDocument>
export type PageDocument<Item> = { items: Item[]; next: string | null }
