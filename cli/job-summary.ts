// What became of one job, in a few lines for people.

import { formatBytes, formatDuration } from '../lib/base/text.ts'
import type { JobDocument } from '../lib/wire/api/documents.ts'
import { printable } from './terminal.ts'

/** Whole lines: outcome, hint, point, what was read and stored, notices that say something else. */
export function summaryOf(job: JobDocument): string {
  const { outcome } = job
  const lines = [`${job.vm.name}: ${outcome === null ? job.state : `${outcome.kind}: ${outcome.message}`}`]
  if (outcome !== null && outcome.hint !== null) lines.push(`  hint: ${outcome.hint}`)
  if (job.pointId !== null) {
    const number = job.sequence === null ? '' : `${job.vm.name}@${job.sequence}, `
    const grade = job.grade === 'offline' ? 'powered off' : `${job.grade ?? 'unknown'}-consistent`
    lines.push(`  restore point ${job.pointId.slice(0, 12)} (${number}${grade})`)
    lines.push(
      `  ${formatBytes(job.counts.readBytes)} read, ${formatBytes(job.counts.storedBytes)} stored${timeOf(job)}`,
    )
  }
  const notices = job.notices.filter(({ message }) => message !== outcome?.message)
  for (const { message, hint } of notices) lines.push(`  note: ${message}${hint === null ? '' : ` (${hint})`}`)
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function timeOf({ times: { startedAt, doneAt } }: JobDocument): string {
  if (startedAt === null || doneAt === null) return ''
  return `, ${formatDuration(Date.parse(doneAt) - Date.parse(startedAt))}`
}
