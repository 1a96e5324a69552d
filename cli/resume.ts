// coldframe resume: goes on with whatever was interrupted in this COLDFRAME_HOME, until nothing is left to do.

import { BackupError } from '../lib/base/errors.ts'
import type { JobId } from '../lib/model/ids.ts'
import { documentOfJob } from '../lib/operate/documents.ts'
import { viewJob } from '../lib/operate/follow-run.ts'
import { faultOfJobs } from '../lib/operate/run-report.ts'
import { findUnfinished } from '../lib/operate/unfinished.ts'
import type { JobStore } from '../lib/ports/job-store.ts'
import type { JobDocument } from '../lib/wire/api/documents.ts'
import type { Answer } from './answer.ts'
import { createRepository, openHomeIfThere, work } from './context.ts'
import { summaryOf } from './job-summary.ts'
import { openProgress } from './progress.ts'
import { readSettings } from './settings.ts'
import { jobTeller } from './tell-jobs.ts'
import type { World } from './world.ts'

const nothing: Answer = { data: { jobs: [] }, text: 'Nothing is left to do\n', fault: null }

export async function resume(world: World): Promise<Answer> {
  const settings = await readSettings(world, ['vcenter', 'repository'])
  using state = await openHomeIfThere(settings, world)

  if (state === null) return nothing
  const { jobStore } = state
  const begun = await findUnfinished(jobStore, world)
  if (begun.jobs.length === 0 && begun.runs.length === 0) return nothing
  const repository = await createRepository(settings, world)
  using progress = openProgress({ stream: world.progress, clock: world.clock })

  const tell = jobTeller(progress)
  const seen = new Set<JobId>()
  const isDone = async (): Promise<boolean> => {
    const { jobs, runs } = await findUnfinished(jobStore, world)
    for (const job of jobs) seen.add(job.id)
    tell(await viewAll(seen, jobStore, world))
    return jobs.length === 0 && runs.length === 0
  }
  await work({ settings, state, repository, isDone, say: progress.say }, world)
  const reports = await viewAll(seen, jobStore, world)
  return { data: { jobs: reports }, text: reports.map(summaryOf).join(''), fault: faultOfJobs(reports, {}) }
}

async function viewAll(ids: ReadonlySet<JobId>, jobStore: JobStore, world: World): Promise<readonly JobDocument[]> {
  const views: JobDocument[] = []
  for (const id of ids) {
    const found = await jobStore.jobs.get(id, world)
    if (found !== null) views.push(documentOfJob(await viewJob(found.value, { jobStore }, world)))
  }
  return views
}

/** What an interrupted command leaves behind, and what to do about it. */
export async function interruptedWork(jobStore: JobStore, cause: unknown): Promise<BackupError> {
  // The command's own signal is over; this look has a time of its own.
  const { jobs, runs } = await findUnfinished(jobStore, { signal: AbortSignal.timeout(5_000) })
  const left = jobs.length + runs.length
  const names = jobs.map((job) => `${job.vm.name} (${job.state})`)
  const what = jobs.length === 0 ? 'what was asked for' : names.join(', ')
  return new BackupError(left === 0 ? 'Interrupted; nothing is left to do' : `Interrupted; not done yet: ${what}`, {
    code: 'interrupted',
    kind: 'interrupted',
    ...(left === 0 ? {} : { hint: '"coldframe resume", or the next "coldframe backup", goes on with it and ends it' }),
    facts: { jobs: jobs.map((job) => job.id) },
    cause,
  })
}
