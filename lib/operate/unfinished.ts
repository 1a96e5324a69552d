// What a home still has to do, whoever asked for it.

import type { Cancel } from '../base/time-limit.ts'
import type { Job } from '../model/job.ts'
import type { Run } from '../model/run.ts'
import type { JobStore } from '../ports/job-store.ts'

export type Unfinished = { readonly jobs: readonly Job[]; readonly runs: readonly Run[] }

/** At most so many jobs are looked at; more become visible as these end. */
const jobsMax = 1_000
/** A run is planned within seconds: only the newest can be waiting for that. */
const runsMax = 100

/** Jobs that are not done, most overdue first, and runs that nobody has planned yet. */
export async function findUnfinished(jobStore: JobStore, cancel: Cancel): Promise<Unfinished> {
  const due = await jobStore.dueJobs({ beforeMs: Number.MAX_SAFE_INTEGER, limit: jobsMax }, cancel)
  const runs = await jobStore.recentRuns({ limit: runsMax }, cancel)
  return { jobs: due.map(({ value }) => value), runs: runs.filter(({ state }) => state === 'requested') }
}
