// What every receiver of domain events keeps. Run on each implementation.

import { describe, expect, it } from 'vitest'
import type { DomainEvent, Events } from '../../lib/ports/log.ts'

const event: DomainEvent = {
  id: 'job/1/done',
  type: 'coldframe.job.done',
  subject: 'job/1',
  at: '2026-01-02T03:04:05.678Z',
  data: { vm: 'db "1"\n', storedBytes: 7, warnings: ['a', 'b'], pointId: null },
}

export type OpenedEvents = AsyncDisposable & {
  readonly events: Events
  /** What was published so far, in order. */
  published(): Promise<readonly DomainEvent[]>
}

export function eventsContract(name: string, open: () => Promise<OpenedEvents>): void {
  describe(`events: ${name}`, () => {
    it('hand on each event whole', async () => {
      await using opened = await open()
      await opened.events.publish(event, { signal: new AbortController().signal })
      await opened.events.publish({ ...event, id: 'job/2/done' }, { signal: new AbortController().signal })

      expect(await opened.published()).toEqual([event, { ...event, id: 'job/2/done' }])
    })

    it('hand on nothing for a caller that has been cancelled', async () => {
      await using opened = await open()

      await expect(opened.events.publish(event, { signal: AbortSignal.abort(new Error('over')) })).rejects.toThrow(
        'over',
      )
      expect(await opened.published()).toEqual([])
    })
  })
}
