// What every log and every counter keeps. Run on each implementation.

import { describe, expect, it } from 'vitest'
import { BackupError } from '../../lib/base/errors.ts'
import type { Log, Metrics } from '../../lib/ports/log.ts'

export type SeenLine = {
  readonly level: string
  readonly event: string
  readonly facts: Readonly<Record<string, unknown>>
}

/** @param open a log, and what was written to it so far */
export function logContract(
  name: string,
  open: () => { readonly log: Log; readonly lines: () => readonly SeenLine[] },
): void {
  describe(`log: ${name}`, () => {
    it('writes one line an event, in order, with its level and facts', () => {
      const { log, lines } = open()
      log.info('part.moved', { readBytes: 5 })
      log.warn('part.slow', { elapsedMs: 7 })
      log.info('part.done')
      expect(lines().map(({ level, event }) => [level, event])).toEqual([
        ['info', 'part.moved'],
        ['warn', 'part.slow'],
        ['info', 'part.done'],
      ])
      expect(lines()[0]?.facts).toMatchObject({ readBytes: 5 })
    })

    it('binds facts for a log made with them, and for no other', () => {
      const { log, lines } = open()
      const bound = log.with({ job: 'j1' }).with({ disk: 2000 })
      bound.info('disk.read', { readBytes: 1 })
      log.info('job.done')
      expect(lines()[0]?.facts).toMatchObject({ job: 'j1', disk: 2000, readBytes: 1 })
      expect(lines()[1]?.facts).not.toHaveProperty('job')
    })

    it('keeps the message of an error, whatever was thrown', () => {
      const { log, lines } = open()
      log.error('stage.failed', new BackupError('Cannot read "x"', { code: 'disk-read-failed' }), { round: 2 })
      log.error('stage.failed', 'a plain text')
      expect(lines()[0]).toMatchObject({ level: 'error', facts: { error: 'Cannot read "x"', round: 2 } })
      expect(lines()[1]).toMatchObject({ level: 'error', facts: { error: 'a plain text' } })
    })
  })
}

/** @param open counters, and the sum counted under a name so far */
export function metricsContract(
  name: string,
  open: () => { readonly metrics: Metrics; readonly total: (counter: string) => number },
): void {
  describe(`metrics: ${name}`, () => {
    it('adds up what is counted under one name, whatever the dimensions', () => {
      const { metrics, total } = open()
      metrics.count('job.done', 1, { outcome: 'success' })
      metrics.count('job.done', 2, { outcome: 'failed' })
      metrics.count('job.begun', 5)
      expect(total('job.done')).toBe(3)
      expect(total('job.begun')).toBe(5)
      expect(total('job.lost')).toBe(0)
    })
  })
}
