// A job of this machine's state as it is shown: its document, and what only the records here hold.

import { formatBytes } from '../lib/base/text.ts'
import type { Job } from '../lib/model/job.ts'
import { auditWords } from '../lib/operate/audit-words.ts'
import { documentOfJob } from '../lib/operate/documents.ts'
import { type JobView, viewJob } from '../lib/operate/follow-run.ts'
import { describeAttempts, describeProof } from '../lib/operate/grade-words.ts'
import { describeDebt } from '../lib/operate/job-words.ts'
import { describeSnapshot, snapshotOfJob } from '../lib/operate/snapshot-words.ts'
import type { JobStore } from '../lib/ports/job-store.ts'
import type { ShownJob } from './engine.ts'
import type { World } from './world.ts'

/** As in a list. */
export async function showJob(
  job: Job,
  { jobStore }: { readonly jobStore: JobStore },
  world: World,
): Promise<ShownJob> {
  const view = await viewJob(job, { jobStore }, world)
  const { owes, guest, evidence } = job
  return { document: documentOfJob(view), more: { data: { owes, guest, evidence }, lines: [], evidence } }
}

/** With everything that is known of it. */
export async function showWholeJob(
  job: Job,
  { jobStore }: { readonly jobStore: JobStore },
  world: World,
): Promise<ShownJob> {
  const view = await viewJob(job, { jobStore }, world)
  const snapshot = await snapshotOfJob(job, { jobStore }, world)
  const { owes, guest, evidence } = job
  const audits = auditsOf(view)
  const lines = [
    ...(view.attempt?.progress ?? []).map(
      (disk) =>
        [
          `disk ${disk.key}`,
          `${disk.label}: ${formatBytes(disk.doneBytes)} of ${formatBytes(disk.totalBytes)}, ${disk.transport}`,
        ] as const,
    ),
    ...audits.map(({ key, label, audit }) => [`disk ${key}`, `${label}: ${auditWords(audit)}`] as const),
    ...job.excludedDisks.map((disk) => [`disk ${disk.key}`, `${disk.label}: left out, ${disk.reason}`] as const),
    ...(snapshot === null ? [] : [['snapshot', describeSnapshot(snapshot)] as const]),
    ...owes.map((debt) => ['owes', describeDebt(debt)] as const),
    ...(guest === null ? [] : describeAttempts(guest).map((line) => ['guest', line] as const)),
    ...(job.capture === null ? [] : describeProof(job.capture.grade).map((line) => ['proof', line] as const)),
  ]
  const data = { owes, guest, evidence, audits, snapshot }
  return { document: documentOfJob(view), more: { data, lines, evidence } }
}

function auditsOf({ attempt }: JobView) {
  return attempt?.result?.kind === 'sealed' ? attempt.result.audits : []
}
