// coldframe jobs: what runs and what ran, or everything about one job.

import { formatBytes } from '../lib/base/text.ts'
import { describeJob } from '../lib/operate/job-words.ts'
import type { JobDocument } from '../lib/wire/api/documents.ts'
import type { Answer } from './answer.ts'
import type { ShownJob } from './engine.ts'
import { summaryOf } from './job-summary.ts'
import { engineOf } from './open-engine.ts'
import { printable, shortTime, table } from './terminal.ts'
import type { World } from './world.ts'

export type JobsOptions = {
  /** The beginning of a job's id. */
  readonly job?: string
  readonly limit: number
}

export async function jobs(options: JobsOptions, world: World): Promise<Answer> {
  const engine = engineOf(world)
  if (options.job !== undefined) {
    const shown = await engine.job(options.job)
    return { data: { job: dataOf(shown) }, text: detailText(shown), fault: null }
  }
  const shown = await engine.recentJobs(options.limit)
  const text = shown.length === 0 ? 'No jobs yet\n' : listText(shown.map(({ document }) => document))
  return { data: { jobs: shown.map(dataOf) }, text, fault: null }
}

function dataOf({ document, more }: ShownJob) {
  return { ...document, ...more.data }
}

function listText(documents: readonly JobDocument[]): string {
  const columns = ['JOB', 'VM', 'CREATED (UTC)', 'READ', 'STATE'].map((title) => ({
    title,
    align: title === 'READ' ? ('right' as const) : ('left' as const),
  }))
  const rows = documents.map((job) => [
    job.id.slice(0, 8),
    job.vm.name,
    shortTime(job.times.createdAt),
    readWords(job),
    describeJob(job),
  ])
  return table(columns, rows)
}

function readWords({ state, counts, progress }: JobDocument): string {
  if (state === 'done' || progress === null) return formatBytes(counts.readBytes)
  return `${formatBytes(progress.doneBytes)} of ${formatBytes(progress.totalBytes)}`
}

function detailText({ document: job, more }: ShownJob): string {
  const rows: (readonly [string, string])[] = [
    ['job', job.id],
    ['run', job.runId],
    ['VM', `${job.vm.name} (${job.vm.moref}, ${job.vm.vmId})`],
    ['policy', job.policy],
    ['state', describeJob(job)],
    ...(job.cancelRequestedAt === null
      ? []
      : [['cancelled', `${shortTime(job.cancelRequestedAt)} UTC, as was asked for`] as const]),
    ['attempt', String(job.attempt)],
    ['next stage', job.nextStage ?? 'none'],
    ...timesOf(job),
    ...more.lines,
    ...job.notices.map(({ message }) => ['note', message] as const),
  ]
  const lines = rows.map(([name, value]) => `${printable(`${name.padEnd(12)} ${value}`)}\n`).join('')
  const evidence = more.evidence.map(({ name, text }) => `\n${printable(name)}\n${indented(text)}`).join('')
  return job.state === 'done' ? `${lines}${evidence}\n${summaryOf(job)}` : `${lines}${evidence}`
}

/** A text from a guest: line by line, with nothing in it that a terminal would obey. */
function indented(text: string): string {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '')
  return lines.map((line) => `  ${printable(line)}\n`).join('')
}

function timesOf({ times }: JobDocument): readonly (readonly [string, string])[] {
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
