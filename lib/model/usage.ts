// What was used of things that are paid for, as measured. Amounts only add up; prices.ts says what they cost.

export type Usage = {
  /** Requests that S3 prices as PUT: PUT, COPY, POST, LIST; and as GET: GET, HEAD. */
  readonly storePuts: number
  readonly storeGets: number
  readonly storePutBytes: number
  readonly storeGetBytes: number
  readonly functionCalls: number
  /** Time times memory: gigabytes (2^30) of a function times ms. */
  readonly functionGbMs: number
  /** Time times size of a container task. */
  readonly taskVcpuMs: number
  readonly taskGbMs: number
  readonly queueRequests: number
  /** As the table counts them: a unit reads 4 KB and writes 1 KB, indexes included. */
  readonly tableReadUnits: number
  readonly tableWriteUnits: number
  readonly keyRequests: number
  readonly eventRequests: number
}

export const NO_USAGE: Usage = {
  storePuts: 0,
  storeGets: 0,
  storePutBytes: 0,
  storeGetBytes: 0,
  functionCalls: 0,
  functionGbMs: 0,
  taskVcpuMs: 0,
  taskGbMs: 0,
  queueRequests: 0,
  tableReadUnits: 0,
  tableWriteUnits: 0,
  keyRequests: 0,
  eventRequests: 0,
}

export function addUsage(a: Usage, b: Partial<Usage>): Usage {
  return mapUsage((name) => a[name] + (b[name] ?? 0))
}

/** What came to `before` until it was `total`. */
export function usageSince(total: Usage, before: Usage): Usage {
  return mapUsage((name) => total[name] - before[name])
}

/** What a job has used: its stages in functions, and its movers in tasks, every attempt together. */
export type JobUsage = { readonly stages: Usage; readonly tasks: Usage }

export const NO_JOB_USAGE: JobUsage = { stages: NO_USAGE, tasks: NO_USAGE }

function mapUsage(amountOf: (name: keyof Usage) => number): Usage {
  return {
    storePuts: amountOf('storePuts'),
    storeGets: amountOf('storeGets'),
    storePutBytes: amountOf('storePutBytes'),
    storeGetBytes: amountOf('storeGetBytes'),
    functionCalls: amountOf('functionCalls'),
    functionGbMs: amountOf('functionGbMs'),
    taskVcpuMs: amountOf('taskVcpuMs'),
    taskGbMs: amountOf('taskGbMs'),
    queueRequests: amountOf('queueRequests'),
    tableReadUnits: amountOf('tableReadUnits'),
    tableWriteUnits: amountOf('tableWriteUnits'),
    keyRequests: amountOf('keyRequests'),
    eventRequests: amountOf('eventRequests'),
  }
}
