// The job store in SQLite: a row a record, replaced only at the version it was read with.

import { assert } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { type AlarmRecord, alarmDueAtMs } from '../../model/alarm.ts'
import type { DoorState } from '../../model/door-state.ts'
import type { GuestTrust } from '../../model/guest.ts'
import type { AlarmId, JobId, OperationId, PointId, PolicyName, RunId, SessionId, VmId } from '../../model/ids.ts'
import { type Attempt, dueAtMs, type Job } from '../../model/job.ts'
import { type Operation, operationDueAtMs } from '../../model/operation.ts'
import type { Resource } from '../../model/places.ts'
import type { PointEntry } from '../../model/point-entry.ts'
import { type Run, runDueAtMs } from '../../model/run.ts'
import type { StoredPolicy } from '../../model/stored-policy.ts'
import type { VmHistory } from '../../model/vm-history.ts'
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
import type { State } from './state.ts'

/** The store is as open as `state` is. Errors are those of openState(). */
export function sqliteJobStore(state: State): JobStore {
  return {
    runs: table<RunId, Run>(state, {
      name: 'runs',
      codec: runRecord,
      columns: { created_at: (run) => run.requestedAt, wake_at_ms: runDueAtMs },
    }),
    jobs: table<JobId, Job>(state, {
      name: 'jobs',
      codec: jobRecord,
      columns: {
        created_at: (job) => job.times.createdAt,
        run_id: (job) => job.runId,
        wake_at_ms: dueAtMs,
      },
    }),
    attempts: table<SessionId, Attempt>(state, { name: 'attempts', codec: attemptRecord, columns: {} }),
    resources: table<string, Resource>(state, { name: 'resources', codec: resourceRecord, columns: {} }),
    vms: table<VmId, VmHistory>(state, { name: 'vms', codec: vmHistoryRecord, columns: {} }),
    guests: table<VmId, GuestTrust>(state, { name: 'guests', codec: guestTrustRecord, columns: {} }),
    policies: table<PolicyName, StoredPolicy>(state, { name: 'policies', codec: storedPolicyRecord, columns: {} }),
    operations: table<OperationId, Operation>(state, {
      name: 'operations',
      codec: operationRecord,
      columns: { created_at: (operation) => operation.requestedAt, wake_at_ms: operationDueAtMs },
    }),
    alarms: table<AlarmId, AlarmRecord>(state, {
      name: 'alarms',
      codec: alarmRecord,
      columns: { created_at: ({ alarm }) => alarm.receivedAt, wake_at_ms: alarmDueAtMs },
    }),
    points: table<PointId, PointEntry>(state, {
      name: 'points',
      codec: pointEntryRecord,
      columns: { created_at: ({ capturedAt }) => capturedAt, vm_id: ({ vmId }) => vmId },
    }),
    doors: table<string, DoorState>(state, { name: 'doors', codec: doorRecord, columns: {} }),
    jobsOfRun: (run, cancel) =>
      answer(cancel, () =>
        list(state, 'SELECT body, version FROM jobs WHERE run_id = ? ORDER BY rowid', [run]).map(jobOf),
      ),
    dueJobs: (query, cancel) => answer(cancel, () => dueOf(state, query, { table: 'jobs', codec: jobRecord })),
    dueRuns: (query, cancel) => answer(cancel, () => dueOf(state, query, { table: 'runs', codec: runRecord })),
    dueOperations: (query, cancel) =>
      answer(cancel, () => dueOf(state, query, { table: 'operations', codec: operationRecord })),
    dueAlarms: (query, cancel) => answer(cancel, () => dueOf(state, query, { table: 'alarms', codec: alarmRecord })),
    recentJobs: (page, cancel) => answer(cancel, () => pageOf(state, page, { table: 'jobs', codec: jobRecord })),
    recentRuns: (page, cancel) => answer(cancel, () => pageOf(state, page, { table: 'runs', codec: runRecord })),
    recentOperations: (page, cancel) =>
      answer(cancel, () => pageOf(state, page, { table: 'operations', codec: operationRecord })),
    recentAlarms: (page, cancel) => answer(cancel, () => pageOf(state, page, { table: 'alarms', codec: alarmRecord })),
    recentPoints: (page, cancel) =>
      answer(cancel, () => pageOf(state, page, { table: 'points', codec: pointEntryRecord })),
    listPolicies: (cancel) =>
      answer(cancel, () =>
        list(state, 'SELECT body, version FROM policies ORDER BY id', []).map(
          (row) => versioned(row, storedPolicyRecord).value,
        ),
      ),
  }
}

type Listed<Value> = {
  readonly table: 'jobs' | 'runs' | 'operations' | 'alarms' | 'points'
  readonly codec: RecordCodec<Value>
}

function dueOf<Value>(
  state: State,
  { beforeMs, limit }: DueQuery,
  { table: name, codec }: Listed<Value>,
): readonly Versioned<Value>[] {
  const text = `SELECT body, version FROM ${name} WHERE wake_at_ms <= ? ORDER BY wake_at_ms LIMIT ?`
  return list(state, text, [beforeMs, limit]).map((row) => versioned(row, codec))
}

function pageOf<Value>(
  state: State,
  { limit, after, vmId }: Page & { readonly vmId?: VmId },
  { table: name, codec }: Listed<Value>,
): readonly Value[] {
  const rest = after === undefined ? [] : [{ text: '(created_at, id) < (?, ?)', values: [after.at, after.id] }]
  const own = vmId === undefined ? [] : [{ text: 'vm_id = ?', values: [vmId] }]
  const conditions = [...own, ...rest]
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.map(({ text }) => text).join(' AND ')}`
  const text = `SELECT body, version FROM ${name} ${where} ORDER BY created_at DESC, id DESC LIMIT ?`
  const values = [...conditions.flatMap((condition) => condition.values), limit]
  return list(state, text, values).map((row) => versioned(row, codec).value)
}

type Cell = string | number | null
type Row = Record<string, unknown>

type Table<Value> = {
  readonly name:
    | 'runs'
    | 'jobs'
    | 'attempts'
    | 'resources'
    | 'guests'
    | 'vms'
    | 'policies'
    | 'operations'
    | 'alarms'
    | 'points'
    | 'doors'
  readonly codec: RecordCodec<Value>
  /** What is kept beside the body to be searched by. */
  readonly columns: Readonly<Record<string, (value: Value) => Cell>>
}

function table<Id extends string, Value>(state: State, form: Table<Value>): Records<Id, Value> {
  const { name, codec } = form
  const extra = Object.keys(form.columns)
  const cells = (value: Value): Cell[] => Object.values(form.columns).map((cell) => cell(value))
  const insert = `INSERT INTO ${name} (${['id', 'version', 'body', ...extra].join(', ')})
    VALUES (?, 1, ?${', ?'.repeat(extra.length)}) ON CONFLICT (id) DO NOTHING`
  const update = `UPDATE ${name} SET version = version + 1, body = ?${extra.map((column) => `, ${column} = ?`).join('')}
    WHERE id = ? AND version = ?`
  return {
    create: (id, value, cancel) =>
      answer(cancel, () => {
        const { changes } = state.write((sql) => sql(insert).run(id, codec.encode(value), ...cells(value)))
        return Number(changes) === 1 ? 'created' : 'exists'
      }),
    get: (id, cancel) =>
      answer(cancel, () => {
        const [row] = list(state, `SELECT body, version FROM ${name} WHERE id = ?`, [id])
        return row === undefined ? null : versioned(row, codec)
      }),
    replace: (id, { value, version }, cancel) =>
      answer(cancel, () => {
        const { changes } = state.write((sql) => sql(update).run(codec.encode(value), ...cells(value), id, version))
        return Number(changes) === 1 ? 'replaced' : 'conflict'
      }),
  }
}

/** SQLite answers at once and in this thread; a cancelled call does not ask it. */
async function answer<Result>({ signal }: Cancel, action: () => Result): Promise<Result> {
  signal.throwIfAborted()
  return action()
}

function list(state: State, text: string, values: readonly Cell[]): readonly Row[] {
  return state.read((sql) => sql(text).all(...values))
}

function jobOf(row: Row): Job {
  return versioned(row, jobRecord).value
}

function versioned<Value>(row: Row, codec: RecordCodec<Value>): Versioned<Value> {
  const { body, version } = row
  assert(typeof body === 'string' && typeof version === 'number', 'a record row has a body and a version')
  return { value: codec.parse(body), version }
}
