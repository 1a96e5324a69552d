// The records that the mover uses, in memory; faults on request.

import type { Cancel } from '../../lib/base/time-limit.ts'
import type { Job } from '../../lib/model/job.ts'
import type { JobStore, Records, Versioned } from '../../lib/ports/job-store.ts'

export function memoryRecords<Id extends string, Value>(beforeCall: () => void | Promise<void>): Records<Id, Value> {
  const stored = new Map<Id, Versioned<Value>>()
  const begin = async ({ signal }: Cancel) => {
    signal.throwIfAborted()
    await beforeCall()
  }
  return {
    create: async (id, value, cancel) => {
      await begin(cancel)
      if (stored.has(id)) return 'exists'
      stored.set(id, { value, version: 1 })
      return 'created'
    },
    get: async (id, cancel) => {
      await begin(cancel)
      return stored.get(id) ?? null
    },
    replace: async (id, next, cancel) => {
      await begin(cancel)
      if (stored.get(id)?.version !== next.version) return 'conflict'
      stored.set(id, { value: next.value, version: next.version + 1 })
      return 'replaced'
    },
  }
}

/** Only records; the queries that stages use are not here. */
export function memoryJobs(beforeCall: () => void | Promise<void> = () => undefined): JobStore {
  const unused = async (): Promise<never> => {
    throw new Error('the mover does not call this')
  }
  return {
    runs: memoryRecords(beforeCall),
    jobs: memoryRecords<Job['id'], Job>(beforeCall),
    attempts: memoryRecords(beforeCall),
    resources: memoryRecords(beforeCall),
    jobsOfRun: unused,
    dueJobs: unused,
    recentJobs: unused,
    recentRuns: unused,
  }
}
