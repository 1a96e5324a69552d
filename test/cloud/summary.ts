// What a run of the cloud amounts to, in numbers and in words.

export type CloudSummary = {
  readonly invocations: Readonly<Record<string, number>>
  readonly coldStarts: number
  readonly deaths: number
  readonly messages: number
  readonly duplicates: number
  /** To AWS, by functions and tasks. */
  readonly calls: number
  readonly struck: Readonly<Record<string, number>>
  readonly tasks: number
  readonly tasksKilled: number
  readonly requests: number
  /** Disks that were read back from the bucket and compared. */
  readonly disks: number
  readonly isEqual: boolean
  /** How far time was put forward. */
  readonly aheadMs: number
}

export const noSummary: CloudSummary = {
  ...{ invocations: {}, coldStarts: 0, deaths: 0, messages: 0, duplicates: 0, calls: 0, struck: {} },
  ...{ tasks: 0, tasksKilled: 0, requests: 0, disks: 0, isEqual: true, aheadMs: 0 },
}

export function summaryWith(a: CloudSummary, b: CloudSummary): CloudSummary {
  return {
    invocations: sumOf(a.invocations, b.invocations),
    struck: sumOf(a.struck, b.struck),
    ...{ coldStarts: a.coldStarts + b.coldStarts, deaths: a.deaths + b.deaths, messages: a.messages + b.messages },
    ...{ duplicates: a.duplicates + b.duplicates, calls: a.calls + b.calls, tasks: a.tasks + b.tasks },
    ...{ tasksKilled: a.tasksKilled + b.tasksKilled, requests: a.requests + b.requests, disks: a.disks + b.disks },
    ...{ isEqual: a.isEqual && b.isEqual, aheadMs: Math.max(a.aheadMs, b.aheadMs) },
  }
}

export function summaryText(summary: CloudSummary, elapsedMs: number): string {
  const { invocations, struck, coldStarts, deaths, messages, duplicates, calls, tasks, tasksKilled, requests } = summary
  const total = Object.values(invocations).reduce((sum, count) => sum + count, 0)
  return [
    `invocations  ${total}: ${listOf(invocations)}; ${coldStarts} cold starts, ${deaths} functions killed`,
    `messages     ${messages}, of them ${duplicates} duplicates put in`,
    `calls        ${calls} to AWS; ${listOf(struck) || 'none struck'}; ${requests} requests to the API`,
    `tasks        ${tasks}, of them ${tasksKilled} killed`,
    `time         ${Math.round(elapsedMs / 1000)} s, ${Math.round(summary.aheadMs / 1000)} s more on the cloud's clock`,
    `bytes        ${summary.disks} disks read back from the bucket: ${summary.isEqual ? 'all equal to what was frozen, nothing left behind' : 'see the faults'}`,
  ].join('\n')
}

function listOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}

function sumOf(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return Object.fromEntries([...names].map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)]))
}
