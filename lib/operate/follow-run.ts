// Waits for the end of a run by looking at its records. Moves nothing itself: some engine does.

import type { Clock } from '../base/clock.ts'
import { assert } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import { type RunId, sessionIdOf } from '../model/ids.ts'
import type { Attempt, Job } from '../model/job.ts'
import type { Run } from '../model/run.ts'
import type { JobStore } from '../ports/job-store.ts'

/** A job with the mover's own record of its present attempt; null when no mover has begun. */
export type JobView = { readonly job: Job; readonly attempt: Attempt | null }

export type RunView = {
  readonly run: Run
  /** In the run's order; jobs that plan has not made yet are missing. */
  readonly jobs: readonly JobView[]
}

export type FollowOptions = {
  readonly runId: RunId
  readonly jobStore: JobStore
  readonly clock: Clock
  readonly everyMs: number
  /** Called at every look, the last one included. */
  readonly onLook: (view: RunView) => void
}

/** @returns the run's last state: refused, or planned with every job done */
export async function followRun(options: FollowOptions, cancel: Cancel): Promise<RunView> {
  for (;;) {
    const view = await viewRun(options, cancel)
    options.onLook(view)
    if (isOver(view)) return view
    await options.clock.sleep(options.everyMs, cancel)
  }
}

export function isOver({ run, jobs }: RunView): boolean {
  if (run.state === 'refused') return true
  return run.state === 'planned' && jobs.length === run.jobIds.length && jobs.every(({ job }) => job.state === 'done')
}

export async function viewRun(
  { runId, jobStore }: Pick<FollowOptions, 'runId' | 'jobStore'>,
  cancel: Cancel,
): Promise<RunView> {
  const found = await jobStore.runs.get(runId, cancel)
  assert(found !== null, 'a run that is followed exists')
  const run = found.value
  const made = new Map((await jobStore.jobsOfRun(runId, cancel)).map((job) => [job.id, job]))
  const ordered = run.jobIds.map((id) => made.get(id)).filter((job) => job !== undefined)
  const jobs: JobView[] = []
  for (const job of ordered) jobs.push(await viewJob(job, { jobStore }, cancel))
  return { run, jobs }
}

export async function viewJob(
  job: Job,
  { jobStore }: Pick<FollowOptions, 'jobStore'>,
  cancel: Cancel,
): Promise<JobView> {
  const attempt = await jobStore.attempts.get(sessionIdOf(job.id, job.attempt), cancel)
  return { job, attempt: attempt?.value ?? null }
}
