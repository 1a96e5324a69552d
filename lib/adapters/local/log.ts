// The log of one machine: one JSON line an event, to a file or a stream.

import { appendFileSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Clock, isoTime } from '../../base/clock.ts'
import { BackupError, type Facts, messageOf } from '../../base/errors.ts'
import type { Log, Metrics } from '../../ports/log.ts'

/** @param write takes one whole line, its line break included; must not throw */
export function lineLog(write: (line: string) => void, options: { readonly clock: Clock }): Log {
  return bound({}, { write, clock: options.clock })
}

/** Lines appended to a file that several processes share; each line is one write. */
export function fileLines(path: string): (line: string) => void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  return (line) => {
    try {
      appendFileSync(path, line, { mode: 0o600 })
    } catch {
      // A log that cannot be written (a full disk) must not end a backup.
    }
  }
}

/** Counters of one machine are log lines: whoever wants a sum adds them up. */
export function logMetrics(log: Log): Metrics {
  return {
    count: (name, value, dimensions) => log.info('metric.counted', { ...dimensions, name, value }),
  }
}

type Sink = { readonly write: (line: string) => void; readonly clock: Clock }

function bound(facts: Facts, sink: Sink): Log {
  const emit = (level: string, event: string, more: Facts | undefined): void => {
    sink.write(`${JSON.stringify({ at: isoTime(sink.clock.nowMs()), level, event, ...facts, ...more })}\n`)
  }
  return {
    with: (more) => bound({ ...facts, ...more }, sink),
    info: (event, more) => emit('info', event, more),
    warn: (event, more) => emit('warn', event, more),
    error: (event, error, more) => emit('error', event, { ...more, ...errorFacts(error) }),
  }
}

/** The message, its code and its causes; the stack only of broken code, where it says more than the message. */
function errorFacts(error: unknown): Facts {
  const causes: string[] = []
  for (let cause = error instanceof Error ? error.cause : undefined; cause !== undefined && causes.length < 5; ) {
    causes.push(messageOf(cause))
    cause = cause instanceof Error ? cause.cause : undefined
  }
  const members = error instanceof AggregateError ? error.errors.slice(0, 20).map(messageOf) : []
  return {
    error: messageOf(error),
    ...(error instanceof BackupError ? { code: error.code } : stackOf(error)),
    ...(causes.length > 0 ? { causes } : {}),
    ...(members.length > 0 ? { members } : {}),
  }
}

function stackOf(error: unknown): Facts {
  return error instanceof Error && error.stack !== undefined ? { stack: error.stack } : {}
}
