// Prices of what is used, and what usage costs. A table has a date: it is what somebody read that day, not what a bill says.

import type { Usage } from './usage.ts'

/** On-demand prices of one region, in US dollars, without tax, free tier or discount. */
export type PriceTable = {
  /** The day that it was written down: "2026-11-27". */
  readonly date: string
  readonly region: string
  readonly storePutsPer1000: number
  readonly storeGetsPer1000: number
  readonly storeGibMonth: number
  readonly functionCallsPerMillion: number
  readonly functionGbSecond: number
  readonly taskVcpuHour: number
  readonly taskGbHour: number
  readonly queueRequestsPerMillion: number
  readonly tableReadUnitsPerMillion: number
  readonly tableWriteUnitsPerMillion: number
  readonly keyRequestsPer10000: number
  readonly eventRequestsPerMillion: number
}

/**
 * us-east-1: S3 Standard, functions and tasks on arm64 and x86-64 as the stack has them by default, DynamoDB on demand, from the
 * services' price pages; written down from memory where no page could be read. Give your own by COLDFRAME_PRICES.
 */
export const DEFAULT_PRICES: PriceTable = {
  date: '2026-11-27',
  region: 'us-east-1',
  storePutsPer1000: 0.005,
  storeGetsPer1000: 0.0004,
  storeGibMonth: 0.023,
  functionCallsPerMillion: 0.2,
  functionGbSecond: 0.0000133334,
  taskVcpuHour: 0.04048,
  taskGbHour: 0.004445,
  queueRequestsPerMillion: 0.4,
  tableReadUnitsPerMillion: 0.125,
  tableWriteUnitsPerMillion: 0.625,
  keyRequestsPer10000: 0.03,
  eventRequestsPerMillion: 1,
}

export type CostPart = 'store' | 'functions' | 'tasks' | 'queues' | 'table' | 'keys' | 'events'

/** In US dollars, unrounded. */
export type Cost = { readonly total: number; readonly parts: Readonly<Record<CostPart, number>> }

export function costOf(usage: Usage, prices: PriceTable): Cost {
  const parts: Cost['parts'] = {
    store: (usage.storePuts * prices.storePutsPer1000 + usage.storeGets * prices.storeGetsPer1000) / 1000,
    functions:
      (usage.functionCalls * prices.functionCallsPerMillion) / MILLION +
      (usage.functionGbMs / 1000) * prices.functionGbSecond,
    tasks: (usage.taskVcpuMs * prices.taskVcpuHour + usage.taskGbMs * prices.taskGbHour) / HOUR_MS,
    queues: (usage.queueRequests * prices.queueRequestsPerMillion) / MILLION,
    table:
      (usage.tableReadUnits * prices.tableReadUnitsPerMillion +
        usage.tableWriteUnits * prices.tableWriteUnitsPerMillion) /
      MILLION,
    keys: (usage.keyRequests * prices.keyRequestsPer10000) / 10_000,
    events: (usage.eventRequests * prices.eventRequestsPerMillion) / MILLION,
  }
  return { total: Object.values(parts).reduce((sum, part) => sum + part, 0), parts }
}

/** What it costs to keep so many bytes for a month. */
export function storageCostOf(storedBytes: number, prices: PriceTable): number {
  return (storedBytes / 2 ** 30) * prices.storeGibMonth
}

const MILLION = 1_000_000
const HOUR_MS = 3_600_000
