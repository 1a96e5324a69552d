// The job store in memory: for tests and for programs that need no tomorrow.

import { assert } from '../../base/errors.ts'
import { ascending } from '../../base/text.ts'
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

export function memoryJobStore(): JobStore {
  const runs = new Map<RunId, Versioned<Run>>()
  const jobs = new Map<JobId, Versioned<Job>>()
  const operations = new Map<OperationId, Versioned<Operation>>()
  const alarms = new Map<AlarmId, Versioned<AlarmRecord>>()
  const points = new Map<PointId, Versioned<PointEntry>>()
  const policies = new Map<PolicyName, Versioned<StoredPolicy>>()
  return {
    runs: records(runs),
    jobs: records(jobs),
    attempts: records(new Map<SessionId, Versioned<Attempt>>()),
    resources: records(new Map<string, Versioned<Resource>>()),
    guests: records(new Map<VmId, Versioned<GuestTrust>>()),
    vms: records(new Map<VmId, Versioned<VmHistory>>()),
    policies: records(policies),
    operations: records(operations),
    alarms: records(alarms),
    points: records(points),
    doors: records(new Map<string, Versioned<DoorState>>()),
    async jobsOfRun(run, { signal }) {
      signal.throwIfAborted()
      return [...jobs.values()].map(({ value }) => value).filter((job) => job.runId === run)
    },
    async dueJobs(query, { signal }) {
      signal.throwIfAborted()
      return dueOf(jobs, query, dueAtMs)
    },
    async dueRuns(query, { signal }) {
      signal.throwIfAborted()
      return dueOf(runs, query, runDueAtMs)
    },
    async dueOperations(query, { signal }) {
      signal.throwIfAborted()
      return dueOf(operations, query, operationDueAtMs)
    },
    async dueAlarms(query, { signal }) {
      signal.throwIfAborted()
      return dueOf(alarms, query, alarmDueAtMs)
    },
    async recentJobs(page, { signal }) {
      signal.throwIfAborted()
      return pageOf(jobs, page, (job) => job.times.createdAt)
    },
    async recentRuns(page, { signal }) {
      signal.throwIfAborted()
      return pageOf(runs, page, (run) => run.requestedAt)
    },
    async recentOperations(page, { signal }) {
      signal.throwIfAborted()
      return pageOf(operations, page, (operation) => operation.requestedAt)
    },
    async recentAlarms(page, { signal }) {
      signal.throwIfAborted()
      return pageOf(alarms, page, ({ alarm }) => alarm.receivedAt)
    },
    async recentPoints({ vmId, ...page }, { signal }) {
      signal.throwIfAborted()
      const own = [...points].filter(([, { value }]) => vmId === undefined || value.vmId === vmId)
      return pageOf(new Map(own), page, (point) => point.capturedAt)
    },
    async listPolicies({ signal }) {
      signal.throwIfAborted()
      return [...policies.values()].map(({ value }) => value).toSorted((a, b) => ascending(a.name, b.name))
    },
  }
}

function dueOf<Value>(
  map: ReadonlyMap<string, Versioned<Value>>,
  { beforeMs, limit }: DueQuery,
  dueOfOne: (value: Value) => number | null,
): readonly Versioned<Value>[] {
  return [...map.values()]
    .filter(({ value }) => (dueOfOne(value) ?? Number.POSITIVE_INFINITY) <= beforeMs)
    .toSorted((a, b) => (dueOfOne(a.value) ?? 0) - (dueOfOne(b.value) ?? 0))
    .slice(0, limit)
}

function pageOf<Value>(
  map: ReadonlyMap<string, Versioned<Value>>,
  { limit, after }: Page,
  timeOf: (value: Value) => string,
): readonly Value[] {
  return [...map]
    .map(([id, { value }]) => ({ id, at: timeOf(value), value }))
    .filter(({ at, id }) => after === undefined || ascending(at, after.at) < 0 || (at === after.at && id < after.id))
    .toSorted((a, b) => ascending(b.at, a.at) || ascending(b.id, a.id))
    .slice(0, limit)
    .map(({ value }) => value)
}

function records<Id extends string, Value>(map: Map<Id, Versioned<Value>>): Records<Id, Value> {
  return {
    async create(id, value, { signal }) {
      signal.throwIfAborted()
      if (map.has(id)) return 'exists'
      map.set(id, { value, version: 1 })
      return 'created'
    },
    async get(id, { signal }) {
      signal.throwIfAborted()
      return map.get(id) ?? null
    },
    async replace(id, next, { signal }) {
      signal.throwIfAborted()
      assert(next.version >= 1, 'a version counts from 1')
      if (map.get(id)?.version !== next.version) return 'conflict'
      map.set(id, { value: next.value, version: next.version + 1 })
      return 'replaced'
    },
  }
}
