// What every way to tell people keeps. Run on each implementation.

import { describe, expect, it } from 'vitest'
import type { Notification, Notifier } from '../../lib/ports/notifier.ts'

export const sampleNotification: Notification = {
  id: 'rpo/gold/2026-11-27T03',
  severity: 'warning',
  subject: 'Policy "gold" misses its RPO',
  message: 'VM "db-1" has no restore point since 2026-11-26T22:00:00Z.\nAt least one every 4 h is wanted.',
  facts: { policy: 'gold', vms: ['db-1', 'db-2'], lateMs: 1_200_000, pointId: null },
}

export type OpenedNotifier = AsyncDisposable & {
  readonly notifier: Notifier
  /** What was told so far, a text each, in order. */
  told(): Promise<readonly string[]>
}

export function notifierContract(name: string, open: () => Promise<OpenedNotifier>): void {
  describe(`notifier: ${name}`, () => {
    it('tells each notification whole, with its id', async () => {
      await using opened = await open()
      await opened.notifier.notify(sampleNotification, { signal: new AbortController().signal })
      await opened.notifier.notify({ ...sampleNotification, id: 'second' }, { signal: new AbortController().signal })

      const [first = '', second = '', ...more] = await opened.told()
      expect(more).toEqual([])
      for (const words of [sampleNotification.id, 'warning', 'At least one every 4 h is wanted.', 'db-2', '1200000']) {
        expect(first).toContain(words)
      }
      expect(second).toContain('second')
    })

    it('tells nothing for a caller that has been cancelled', async () => {
      await using opened = await open()
      const gone = { signal: AbortSignal.abort(new Error('over')) }
      await expect(opened.notifier.notify(sampleNotification, gone)).rejects.toThrow('over')
      expect(await opened.told()).toEqual([])
    })
  })
}
