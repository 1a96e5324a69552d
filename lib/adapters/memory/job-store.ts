// The job store in memory: for tests and for programs that need no tomorrow.

import { assert } from '../../base/errors.ts'
import type { GuestTrust } from '../../model/guest.ts'
import type { JobId, RunId, SessionId, VmId } from '../../model/ids.ts'
import { type Attempt, dueAtMs, type Job } from '../../model/job.ts'
import type { Resource } from '../../model/places.ts'
import type { Run } from '../../model/run.ts'
import type { VmHistory } from '../../model/vm-history.ts'
import type { JobStore, Records, Versioned } from '../../ports/job-store.ts'

export function memoryJobStore(): JobStore {
  const runs = new Map<RunId, Versioned<Run>>()
  const jobs = new Map<JobId, Versioned<Job>>()
  const newestFirst = <Value>(
    map: Map<string, Versioned<Value>>,
    createdAt: (value: Value) => string,
  ): readonly Value[] =>
    [...map.values()]
      .map(({ value }) => value)
      .toReversed()
      .toSorted((a, b) => compareText(createdAt(b), createdAt(a)))
  return {
    runs: records(runs),
    jobs: records(jobs),
    attempts: records(new Map<SessionId, Versioned<Attempt>>()),
    resources: records(new Map<string, Versioned<Resource>>()),
    guests: records(new Map<VmId, Versioned<GuestTrust>>()),
    vms: records(new Map<VmId, Versioned<VmHistory>>()),
    async jobsOfRun(run, { signal }) {
      signal.throwIfAborted()
      return [...jobs.values()].map(({ value }) => value).filter((job) => job.runId === run)
    },
    async dueJobs({ beforeMs, limit }, { signal }) {
      signal.throwIfAborted()
      return [...jobs.values()]
        .filter(({ value }) => (dueAtMs(value) ?? Number.POSITIVE_INFINITY) <= beforeMs)
        .toSorted((a, b) => (dueAtMs(a.value) ?? 0) - (dueAtMs(b.value) ?? 0))
        .slice(0, limit)
    },
    async recentJobs({ limit }, { signal }) {
      signal.throwIfAborted()
      return newestFirst(jobs, (job) => job.times.createdAt).slice(0, limit)
    },
    async recentRuns({ limit }, { signal }) {
      signal.throwIfAborted()
      return newestFirst(runs, (run) => run.requestedAt).slice(0, limit)
    },
  }
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

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
