// What backups have cost: jobs summed by VM, policy, run, job or day, priced by a table.

import { ascending } from '../base/text.ts'
import type { Job } from '../model/job.ts'
import { type CostPart, costOf, type PriceTable, storageCostOf } from '../model/prices.ts'
import { addUsage, NO_USAGE, type Usage } from '../model/usage.ts'

export const COST_GROUPS = ['vm', 'policy', 'run', 'job', 'day'] as const
export type CostGroup = (typeof COST_GROUPS)[number]

/** What of a job is summed. */
export type PaidJob = Pick<Job, 'id' | 'runId' | 'vm' | 'policy' | 'usage' | 'counts' | 'times'>

export type CostRow = {
  /** A VM's instance uuid, a policy's name, an id, or a day in UTC. */
  readonly key: string
  readonly name: string
  readonly jobs: number
  readonly points: number
  readonly readBytes: number
  /** Stored anew: what earlier points hold already is not in it. */
  readonly storedBytes: number
  readonly usage: Usage
  /** US dollars, once. */
  readonly costUsd: number
  readonly parts: Readonly<Record<CostPart, number>>
  /** US dollars a month for keeping what was stored, as long as it is kept. */
  readonly storageUsdMonth: number
}

export type CostReport = { readonly prices: PriceTable; readonly rows: readonly CostRow[]; readonly total: CostRow }

/** @returns rows that cost most first; those of days in their order */
export function reportCost(
  jobs: readonly PaidJob[],
  { by, prices }: { readonly by: CostGroup; readonly prices: PriceTable },
): CostReport {
  const groups = new Map<string, PaidJob[]>()
  for (const job of jobs) {
    const { key } = groupOf(job, by)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [job])
    else group.push(job)
  }
  const rows = [...groups.values()].map((group) => rowOf(group, { ...nameOf(group, by), prices }))
  const order = (a: CostRow, b: CostRow) =>
    by === 'day' ? ascending(a.key, b.key) : b.costUsd - a.costUsd || ascending(a.name, b.name)
  return { prices, rows: rows.toSorted(order), total: rowOf(jobs, { key: 'total', name: 'total', prices }) }
}

/** Whether a table says of the present what it was written down for, or is older than prices usually last. */
export function isOld({ date }: PriceTable, nowMs: number): boolean {
  return nowMs - Date.parse(date) > YEAR_MS
}

const YEAR_MS = 365 * 24 * 3_600_000

type Name = { readonly key: string; readonly name: string }

function groupOf(job: PaidJob, by: CostGroup): Name {
  switch (by) {
    case 'vm':
      return { key: job.vm.vmId, name: job.vm.name }
    case 'policy':
      return { key: job.policy.name, name: job.policy.name }
    case 'run':
      return { key: job.runId, name: job.runId }
    case 'job':
      return { key: job.id, name: `${job.id.slice(0, 8)} ${job.vm.name}` }
    case 'day': {
      const day = job.times.createdAt.slice(0, 10)
      return { key: day, name: day }
    }
  }
}

/** The newest name of a VM that was renamed. */
function nameOf(group: readonly PaidJob[], by: CostGroup): Name {
  const newest = group.toSorted((a, b) => ascending(b.times.createdAt, a.times.createdAt))[0]
  return newest === undefined ? { key: '', name: '' } : groupOf(newest, by)
}

function rowOf(jobs: readonly PaidJob[], { key, name, prices }: Name & { readonly prices: PriceTable }): CostRow {
  const usage = jobs.reduce((sum, job) => addUsage(addUsage(sum, job.usage.stages), job.usage.tasks), NO_USAGE)
  const storedBytes = jobs.reduce((sum, { counts }) => sum + counts.storedBytes, 0)
  const { total, parts } = costOf(usage, prices)
  return {
    key,
    name,
    jobs: jobs.length,
    points: jobs.filter(({ times }) => times.committedAt !== null).length,
    readBytes: jobs.reduce((sum, { counts }) => sum + counts.readBytes, 0),
    storedBytes,
    usage,
    costUsd: total,
    parts,
    storageUsdMonth: storageCostOf(storedBytes, prices),
  }
}
