// Logs and metrics kept in memory: for tests that look at them and for programs that want none.

import { type Facts, messageOf } from '../../base/errors.ts'
import type { Log, Metrics } from '../../ports/log.ts'

export type LogLine = { readonly level: 'info' | 'warn' | 'error'; readonly event: string; readonly facts: Facts }

export type MemoryLog = Log & { readonly lines: readonly LogLine[] }

export function memoryLog(): MemoryLog {
  const lines: LogLine[] = []
  return { ...bound({}, lines), lines }
}

function bound(facts: Facts, lines: LogLine[]): Log {
  const add = (level: LogLine['level'], event: string, more: Facts = {}): void => {
    lines.push({ level, event, facts: { ...facts, ...more } })
  }
  return {
    with: (more) => bound({ ...facts, ...more }, lines),
    info: (event, more) => add('info', event, more),
    warn: (event, more) => add('warn', event, more),
    error: (event, error, more) => add('error', event, { ...more, error: messageOf(error) }),
  }
}

export type MemoryMetrics = Metrics & {
  /** The sum counted under this name. */
  total(name: string): number
}

export function memoryMetrics(): MemoryMetrics {
  const totals = new Map<string, number>()
  return {
    count: (name, value) => totals.set(name, (totals.get(name) ?? 0) + value),
    total: (name) => totals.get(name) ?? 0,
  }
}
