// The job store on DynamoDB: one table, one item a record. The indexes hold keys only: what they find is read consistently
// before it is given out, so a list may lack what was written a moment ago, but never shows it as it was before.

import type { Clock } from '../../base/clock.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { alarmDueAtMs } from '../../model/alarm.ts'
import type { RunId } from '../../model/ids.ts'
import { dueAtMs, type Job } from '../../model/job.ts'
import { operationDueAtMs } from '../../model/operation.ts'
import { runDueAtMs } from '../../model/run.ts'
import type { DueQuery, JobStore, Page, Records, Versioned } from '../../ports/job-store.ts'
import {
  alarmRecord,
  doorRecord,
  operationRecord,
  pointEntryRecord,
  storedPolicyRecord,
} from '../../wire/door-records.ts'
import {
  attemptRecord,
  guestTrustRecord,
  jobRecord,
  type RecordCodec,
  resourceRecord,
  runRecord,
  vmHistoryRecord,
} from '../../wire/job.ts'
import { type Item, type SearchedBy, textOf } from './state-item.ts'
import type { StateTable } from './state-table.ts'

const DAY_MS = 86_400_000
/** How long what nobody needs any more stays readable. Only cleaning: nothing is decided by whether it is still there. */
const KEEP_MS = { alarm: 90 * DAY_MS, resource: 7 * DAY_MS } as const

/** One kind of record: how it is written, and by what it is found besides its id. */
type Form<Value> = {
  readonly kind: string
  readonly codec: RecordCodec<Value>
  /** Over how many partitions of byDue these are spread: one takes 1,000 writes a second. 0: never due. */
  readonly shards: number
  /** Whose it is: "run/<id>", "vm/<id>". */
  readonly owner?: (value: Value) => string
  readonly dueAtMs?: (value: Value) => number | null
  /** What it is listed by, before its id. */
  readonly listedAt?: (value: Value) => string
  readonly expiresMs?: (value: Value, nowMs: number) => number | null
}

const RUN = form({
  kind: 'run',
  codec: runRecord,
  shards: 1,
  dueAtMs: runDueAtMs,
  listedAt: (run) => run.requestedAt,
})
const JOB = form({
  kind: 'job',
  codec: jobRecord,
  // A job's due time changes with each of its moves and heartbeats.
  shards: 8,
  owner: (job) => `run/${job.runId}`,
  dueAtMs,
  listedAt: (job) => job.times.createdAt,
})
const OPERATION = form({
  kind: 'operation',
  codec: operationRecord,
  shards: 1,
  dueAtMs: operationDueAtMs,
  listedAt: (operation) => operation.requestedAt,
})
const ALARM = form({
  kind: 'alarm',
  codec: alarmRecord,
  // Storms are of alarms.
  shards: 4,
  dueAtMs: alarmDueAtMs,
  listedAt: ({ alarm }) => alarm.receivedAt,
  expiresMs: ({ alarm, decision }) => (decision === null ? null : Date.parse(alarm.receivedAt) + KEEP_MS.alarm),
})
const POINT = form({
  kind: 'point',
  codec: pointEntryRecord,
  shards: 0,
  owner: (point) => `vm/${point.vmId}`,
  listedAt: (point) => point.capturedAt,
})
const POLICY = form({ kind: 'policy', codec: storedPolicyRecord, shards: 0, listedAt: () => '' })
const RESOURCE = form({
  kind: 'resource',
  codec: resourceRecord,
  shards: 0,
  expiresMs: ({ places, waiters }, nowMs) =>
    [...places, ...waiters].reduce((last, { untilMs }) => Math.max(last, untilMs), nowMs) + KEEP_MS.resource,
})

export type DynamoOptions = { readonly clock: Clock }

/** Errors: `aws-unreachable` (retry later), `aws-refused`, `state-missing`, `state-malformed`, `state-record-too-large`. */
export function dynamoJobStore(table: StateTable, options: DynamoOptions): JobStore {
  const of = <Value>(one: Form<Value>) => ({ table, form: one, ...options })
  return {
    runs: records(of(RUN)),
    jobs: records(of(JOB)),
    attempts: records(of(form({ kind: 'attempt', codec: attemptRecord, shards: 0 }))),
    resources: records(of(RESOURCE)),
    guests: records(of(form({ kind: 'guest', codec: guestTrustRecord, shards: 0 }))),
    vms: records(of(form({ kind: 'vm', codec: vmHistoryRecord, shards: 0 }))),
    policies: records(of(POLICY)),
    operations: records(of(OPERATION)),
    alarms: records(of(ALARM)),
    points: records(of(POINT)),
    doors: records(of(form({ kind: 'door', codec: doorRecord, shards: 0 }))),
    jobsOfRun: (run, cancel) => jobsOfRun(run, table, cancel),
    dueJobs: (query, cancel) => dueOf(query, of(JOB), cancel),
    dueRuns: (query, cancel) => dueOf(query, of(RUN), cancel),
    dueOperations: (query, cancel) => dueOf(query, of(OPERATION), cancel),
    dueAlarms: (query, cancel) => dueOf(query, of(ALARM), cancel),
    recentJobs: (page, cancel) => pageOf(page, of(JOB), cancel),
    recentRuns: (page, cancel) => pageOf(page, of(RUN), cancel),
    recentOperations: (page, cancel) => pageOf(page, of(OPERATION), cancel),
    recentAlarms: (page, cancel) => pageOf(page, of(ALARM), cancel),
    recentPoints: ({ vmId, ...page }, cancel) =>
      pageOf(vmId === undefined ? page : { ...page, owner: `vm/${vmId}` }, of(POINT), cancel),
    listPolicies: async (cancel) => (await pageOf({ limit: Number.MAX_SAFE_INTEGER }, of(POLICY), cancel)).toReversed(),
  }
}

/** Takes the value's type from the codec. */
function form<Value>(one: Form<Value>): Form<Value> {
  return one
}

type Kept<Value> = DynamoOptions & { readonly table: StateTable; readonly form: Form<Value> }

function records<Id extends string, Value>(kept: Kept<Value>): Records<Id, Value> {
  const { table, form: one } = kept
  return {
    create: (id, value, cancel) =>
      table.create(keyOf(one, id), { text: one.codec.encode(value), by: searchedBy(id, value, kept) }, cancel),
    get: async (id, cancel) => {
      const item = await table.get(keyOf(one, id), cancel)
      return item === null ? null : recordOf(item, one)
    },
    replace: (id, { value, version }, cancel) => {
      const next = { text: one.codec.encode(value), by: searchedBy(id, value, kept), version }
      return table.replace(keyOf(one, id), next, cancel)
    },
  }
}

/**
 * Complete, although an index lags: the run names every job that a plan means to make before it makes it. The index adds those
 * of a plan that died between the two, once they are in it.
 */
async function jobsOfRun(run: RunId, table: StateTable, cancel: Cancel): Promise<readonly Job[]> {
  const item = await table.get(keyOf(RUN, run), cancel)
  const named = item === null ? [] : recordOf(item, RUN).value.jobIds.map((id) => keyOf(JOB, id))
  const query = {
    index: 'byOwner',
    hash: ['owner', `run/${run}`],
    newestFirst: false,
    limit: Number.MAX_SAFE_INTEGER,
  } as const
  const indexed = (await table.query(query, cancel)).map(keyOfItem)
  const items = await table.getMany([...named, ...indexed], cancel)
  return items.map((one) => recordOf(one, JOB).value).filter((job) => job.runId === run)
}

async function dueOf<Value>(
  { beforeMs, limit }: DueQuery,
  { table, form: one }: Kept<Value>,
  cancel: Cancel,
): Promise<readonly Versioned<Value>[]> {
  const range = ['dueAtMs', '<=', { N: String(beforeMs) }] as const
  const shards = Array.from({ length: one.shards }, (_, shard) => `${one.kind}/${shard}`)
  const found = await Promise.all(
    shards.map((shard) =>
      table.query({ index: 'byDue', hash: ['due', shard], range, newestFirst: false, limit }, cancel),
    ),
  )
  const candidates = found.flat().toSorted((a, b) => Number(a['dueAtMs']?.N) - Number(b['dueAtMs']?.N))
  const items = await table.getMany(candidates.slice(0, limit).map(keyOfItem), cancel)
  // As the records say now: one that was done or put off meanwhile is still in the index.
  const dueAt = ({ value }: Versioned<Value>): number => one.dueAtMs?.(value) ?? Number.POSITIVE_INFINITY
  return items
    .map((item) => recordOf(item, one))
    .filter((record) => dueAt(record) <= beforeMs)
    .toSorted((a, b) => dueAt(a) - dueAt(b))
}

async function pageOf<Value>(
  { limit, after, owner }: Page & { readonly owner?: string },
  { table, form: one }: Kept<Value>,
  cancel: Cancel,
): Promise<readonly Value[]> {
  const range = after === undefined ? {} : { range: ['listedAt', '<', { S: `${after.at}#${after.id}` }] as const }
  const within =
    owner === undefined
      ? ({ index: 'byTime', hash: ['list', one.kind] } as const)
      : ({ index: 'byOwner', hash: ['owner', owner] } as const)
  const query = { ...within, newestFirst: true, limit, ...range }
  const keys = (await table.query(query, cancel)).map(keyOfItem)
  return (await table.getMany(keys, cancel)).map((item) => recordOf(item, one).value)
}

function searchedBy<Value>(id: string, value: Value, { form: one, clock }: Kept<Value>): SearchedBy {
  const dueMs = one.dueAtMs?.(value) ?? null
  const expiresMs = one.expiresMs?.(value, clock.nowMs()) ?? null
  return {
    owner: one.owner?.(value) ?? null,
    due: dueMs === null ? null : { shard: `${one.kind}/${shardOf(id, one.shards)}`, atMs: dueMs },
    listed: one.listedAt === undefined ? null : { list: one.kind, at: `${one.listedAt(value)}#${id}` },
    // A time that is none is kept for ever rather than refused.
    expiresMs: Number.isFinite(expiresMs) ? expiresMs : null,
  }
}

function keyOf<Value>({ kind }: Form<Value>, id: string): string {
  return `${kind}#${id}`
}

function keyOfItem(item: Item): string {
  return item['pk']?.S ?? ''
}

function recordOf<Value>(item: Item, { codec }: Form<Value>): Versioned<Value> {
  const { text, version } = textOf(item, keyOfItem(item))
  return { value: codec.parse(text), version }
}

/** FNV-1a, 32 bits: the same record is always in the same shard. */
function shardOf(id: string, shards: number): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(id)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash % shards
}
