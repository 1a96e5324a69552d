// coldframe jobs: what runs and what ran, or everything about one job.

import { BackupError, quote } from '../lib/base/errors.ts'
import { formatBytes } from '../lib/base/text.ts'
import type { Job } from '../lib/model/job.ts'
import type { SnapshotTimes } from '../lib/model/vm-history.ts'
import { auditWords } from '../lib/operate/audit-words.ts'
import { type JobView, viewJob } from '../lib/operate/follow-run.ts'
import { describeAttempts, describeProof } from '../lib/operate/grade-words.ts'
import { describeDebt, describeJob, sumProgress } from '../lib/operate/job-words.ts'
import { reportJob } from '../lib/operate/run-report.ts'
import { describeSnapshot, snapshotOfJob } from '../lib/operate/snapshot-words.ts'
import type { JobStore } from '../lib/ports/job-store.ts'
import type { Answer } from './answer.ts'
import { openHomeIfThere } from './context.ts'
import { summaryOf } from './job-summary.ts'
import { readSettings } from './settings.ts'
import { printable, shortTime, table } from './terminal.ts'
import type { World } from './world.ts'

export type JobsOptions = {
  /** The beginning of a job's id. */
  readonly job?: string
  readonly limit: number
}

/** Jobs that are looked through for an id. */
const searchedMax = 100_000

export async function jobs(options: JobsOptions, world: World): Promise<Answer> {
  const settings = await readSettings(world, [])
  using state = await openHomeIfThere(settings, world)

  if (options.job !== undefined) return await oneJob(options.job, { jobStore: state?.jobStore ?? null, world })
  if (state === null) return { data: { jobs: [] }, text: 'No jobs yet\n', fault: null }
  const recent = await state.jobStore.recentJobs({ limit: options.limit }, world)
  const views: JobView[] = []
  for (const job of recent) views.push(await viewJob(job, state, world))
  return {
    data: { jobs: views.map(dataOf) },
    text: views.length === 0 ? 'No jobs yet\n' : listText(views),
    fault: null,
  }
}

async function oneJob(
  id: string,
  { jobStore, world }: { readonly jobStore: JobStore | null; readonly world: World },
): Promise<Answer> {
  if (!/^[0-9a-f]{4,32}$/i.test(id)) {
    throw new BackupError(`Cannot tell which job ${quote(id)} is`, {
      code: 'usage',
      kind: 'usage',
      hint: 'Give 4 to 32 digits of its id; "coldframe jobs" lists them',
    })
  }
  const all = jobStore === null ? [] : await jobStore.recentJobs({ limit: searchedMax }, world)
  const matches = all.filter((job) => job.id.startsWith(id.toLowerCase()))
  const [job] = matches
  if (job === undefined || jobStore === null) {
    throw new BackupError(`Cannot find job ${quote(id)}`, {
      code: 'job-not-found',
      kind: 'not-found',
      hint: '"coldframe jobs" lists those of this COLDFRAME_HOME',
      facts: { job: id },
    })
  }
  if (matches.length > 1) {
    throw new BackupError(`${matches.length} jobs begin with ${quote(id)}`, {
      code: 'job-ambiguous',
      kind: 'not-found',
      hint: 'Give more digits',
      facts: { candidates: matches.slice(0, 100).map((match) => match.id) },
    })
  }
  const view = await viewJob(job, { jobStore }, world)
  const snapshot = await snapshotOfJob(job, { jobStore }, world)
  return {
    data: { job: { ...dataOf(view), disks: view.attempt?.progress ?? [], audits: auditsOf(view), snapshot } },
    text: detailText(view, snapshot),
    fault: null,
  }
}

function dataOf(view: JobView) {
  const { job } = view
  return {
    ...reportJob(view),
    waitsFor: job.waitsFor,
    owes: job.owes,
    guest: job.guest,
    evidence: job.evidence,
    nextStage: job.nextStage,
    wakeAt: job.wakeAtMs === null ? null : new Date(job.wakeAtMs).toISOString(),
    progress: sumProgress(view.attempt),
  }
}

function listText(views: readonly JobView[]): string {
  const columns = ['JOB', 'VM', 'CREATED (UTC)', 'READ', 'STATE'].map((title) => ({
    title,
    align: title === 'READ' ? ('right' as const) : ('left' as const),
  }))
  const rows = views.map((view) => {
    const { job } = view
    return [job.id.slice(0, 8), job.vm.name, shortTime(job.times.createdAt), readWords(view), describeJob(job)]
  })
  return table(columns, rows)
}

function readWords({ job, attempt }: JobView): string {
  const sum = sumProgress(attempt)
  if (job.state === 'done' || sum === null) return formatBytes(job.counts.readBytes)
  return `${formatBytes(sum.doneBytes)} of ${formatBytes(sum.totalBytes)}`
}

function detailText(view: JobView, snapshot: SnapshotTimes | null): string {
  const { job, attempt } = view
  const rows: (readonly [string, string])[] = [
    ['job', job.id],
    ['run', job.runId],
    ['VM', `${job.vm.name} (${job.vm.moref}, ${job.vm.vmId})`],
    ['policy', job.policy.name],
    ['state', describeJob(job)],
    ['attempt', String(job.attempt)],
    ['next stage', job.nextStage ?? 'none'],
    ...timesOf(job),
    ...(attempt?.progress ?? []).map(
      (disk) =>
        [
          `disk ${disk.key}`,
          `${disk.label}: ${formatBytes(disk.doneBytes)} of ${formatBytes(disk.totalBytes)}, ${disk.transport}`,
        ] as const,
    ),
    ...auditsOf(view).map(({ key, label, audit }) => [`disk ${key}`, `${label}: ${auditWords(audit)}`] as const),
    ...job.excludedDisks.map((disk) => [`disk ${disk.key}`, `${disk.label}: left out, ${disk.reason}`] as const),
    ...(snapshot === null ? [] : [['snapshot', describeSnapshot(snapshot)] as const]),
    ...job.owes.map((debt) => ['owes', describeDebt(debt)] as const),
    ...(job.guest === null ? [] : describeAttempts(job.guest).map((line) => ['guest', line] as const)),
    ...(job.capture === null ? [] : describeProof(job.capture.grade).map((line) => ['proof', line] as const)),
    ...job.notices.map(({ message }) => ['note', message] as const),
  ]
  const lines = rows.map(([name, value]) => `${printable(`${name.padEnd(12)} ${value}`)}\n`).join('')
  const evidence = job.evidence.map(({ name, text }) => `\n${printable(name)}\n${indented(text)}`).join('')
  return job.state === 'done' ? `${lines}${evidence}\n${summaryOf(reportJob(view))}` : `${lines}${evidence}`
}

function auditsOf({ attempt }: JobView) {
  return attempt?.result?.kind === 'sealed' ? attempt.result.audits : []
}

/** A text from a guest: line by line, with nothing in it that a terminal would obey. */
function indented(text: string): string {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '')
  return lines.map((line) => `  ${printable(line)}\n`).join('')
}

function timesOf({ times }: Job): readonly (readonly [string, string])[] {
  const named = [
    ['created', times.createdAt],
    ['started', times.startedAt],
    ['captured', times.capturedAt],
    ['read', times.transferredAt],
    ['committed', times.committedAt],
    ['released', times.releasedAt],
    ['done', times.doneAt],
  ] as const
  return named.flatMap(([name, time]) => (time === null ? [] : [[name, `${shortTime(time)} UTC`] as const]))
}
