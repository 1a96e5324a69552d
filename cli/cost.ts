// coldframe cost: what backups have used and what that costs, by a table of prices.

import { BackupError, quote } from '../lib/base/errors.ts'
import { formatBytes, formatDuration } from '../lib/base/text.ts'
import type { Job } from '../lib/model/job.ts'
import { DEFAULT_PRICES } from '../lib/model/prices.ts'
import { COST_GROUPS, type CostGroup, type CostReport, type CostRow, isOld, reportCost } from '../lib/operate/cost.ts'
import type { JobStore, Page } from '../lib/ports/job-store.ts'
import { parseDuration } from '../lib/wire/policy-scalars.ts'
import { parsePrices } from '../lib/wire/prices.ts'
import type { Answer } from './answer.ts'
import { openRecordsIfThere } from './context.ts'
import { readSettings, readText } from './settings.ts'
import { table } from './terminal.ts'
import type { World } from './world.ts'

export type CostOptions = {
  readonly by: string
  /** How far back: "30d". */
  readonly since: string
  readonly vm?: string
  readonly policy?: string
  readonly run?: string
  readonly prices?: string
}

const PAGE = 200

export async function cost(options: CostOptions, world: World): Promise<Answer> {
  const by = COST_GROUPS.find((group) => group === options.by)
  if (by === undefined) throw usageFault(`--by must be one of ${COST_GROUPS.join(', ')}, not ${quote(options.by)}`)
  const sinceMs = parseDuration(options.since)
  if (sinceMs === null || sinceMs <= 0)
    throw usageFault(`--since must be a time such as "30d" or "12h", not ${quote(options.since)}`)
  const prices = await readPrices(options, world)
  const settings = await readSettings(world, [])
  using state = await openRecordsIfThere(settings, world)

  const fromMs = world.clock.nowMs() - sinceMs
  const jobs = state === null ? [] : await jobsSince(fromMs, state.jobStore, world)
  const report = reportCost(jobs.filter(selectedBy(options)), { by, prices })
  const since = new Date(fromMs).toISOString()
  return { data: { since, by, ...report }, text: textOf(report, { by, nowMs: world.clock.nowMs() }), fault: null }
}

async function readPrices(options: CostOptions, { environment }: World) {
  const path = options.prices ?? environment['COLDFRAME_PRICES']
  return path === undefined || path === '' ? DEFAULT_PRICES : parsePrices(await readText(path), path)
}

async function jobsSince(fromMs: number, jobStore: JobStore, world: World): Promise<readonly Job[]> {
  const found: Job[] = []
  let after: Page['after'] | null = null
  for (;;) {
    const page = await jobStore.recentJobs({ limit: PAGE, ...(after === null ? {} : { after }) }, world)
    const young = page.filter(({ times }) => Date.parse(times.createdAt) >= fromMs)
    found.push(...young)
    const last = page.at(-1)
    if (last === undefined || young.length < PAGE) return found
    after = { at: last.times.createdAt, id: last.id }
  }
}

function selectedBy({ vm, policy, run }: CostOptions): (job: Job) => boolean {
  return (job) =>
    (vm === undefined || job.vm.name === vm || job.vm.vmId === vm.toLowerCase() || job.vm.moref === vm) &&
    (policy === undefined || job.policy.name === policy) &&
    (run === undefined || job.runId.startsWith(run.toLowerCase()))
}

function textOf(
  { rows, total, prices }: CostReport,
  { by, nowMs }: { readonly by: CostGroup; readonly nowMs: number },
): string {
  if (rows.length === 0) return 'No jobs in this time\n'
  const columns = [
    by.toUpperCase(),
    'JOBS',
    'READ',
    'STORED',
    'REQUESTS',
    'FUNCTIONS',
    'TASKS',
    'USD',
    'USD/MONTH',
  ].map((title, index) => ({
    title,
    align: index === 0 ? ('left' as const) : ('right' as const),
  }))
  const lines = table(columns, [...rows, total].map(cellsOf))
  const age = isOld(prices, nowMs) ? ', older than a year' : ''
  return `${lines}\nPrices of ${prices.region}, ${prices.date}${age}; USD: once, USD/MONTH: for keeping what was stored. Not in it: data leaving AWS, NAT, endpoints, logs\n`
}

function cellsOf(row: CostRow): readonly string[] {
  const { usage } = row
  const requests = usage.storePuts + usage.storeGets + usage.queueRequests + usage.keyRequests + usage.eventRequests
  return [
    row.name,
    String(row.jobs),
    formatBytes(row.readBytes),
    formatBytes(row.storedBytes),
    String(requests),
    `${(usage.functionGbMs / 1000).toFixed(1)} GB s`,
    formatDuration(usage.taskVcpuMs).concat(' vCPU'),
    money(row.costUsd),
    money(row.storageUsdMonth),
  ]
}

/** Small amounts add up: four significant digits below a dollar. */
function money(usd: number): string {
  if (usd === 0) return '0'
  return usd >= 1 ? usd.toFixed(2) : String(Number(usd.toPrecision(2)))
}

function usageFault(message: string): BackupError {
  return new BackupError(message, { code: 'usage', kind: 'usage' })
}
