// What every scheduler keeps. Run on each implementation.

import { describe, expect, it } from 'vitest'
import { type PolicyName, parsePolicyName } from '../../lib/model/ids.ts'
import type { Schedule, Schedules } from '../../lib/ports/schedules.ts'

const cancel = { signal: new AbortController().signal }
const gold = parsePolicyName('gold')

export function scheduleOf(change: Partial<Schedule> = {}): Schedule {
  const when = { kind: 'cron', fields: '0 22 * * *' } as const
  return { policy: gold, when, timeZone: 'Europe/Berlin', jitterMs: 0, ...change }
}

export function schedulesContract(
  name: string,
  open: () => Promise<AsyncDisposable & { readonly schedules: Schedules }>,
) {
  const names = (list: readonly PolicyName[]) => list.toSorted()

  describe(`schedules: ${name}`, () => {
    it('are made once, changed to what is wanted, and told when nothing changes', async () => {
      await using opened = await open()
      const { schedules } = opened
      const other = scheduleOf({ policy: parsePolicyName('silver'), when: { kind: 'rate', everyMs: 3_600_000 } })

      expect(await schedules.put(scheduleOf(), cancel)).toBe('created')
      expect(await schedules.put(scheduleOf(), cancel)).toBe('same')
      expect(await schedules.put(other, cancel)).toBe('created')
      for (const change of [{ when: other.when }, { timeZone: 'UTC' }, { jitterMs: 600_000 }, {}]) {
        expect(await schedules.put(scheduleOf(change), cancel)).toBe('changed')
        expect(await schedules.put(scheduleOf(change), cancel)).toBe('same')
      }
      expect(names(await schedules.list(cancel))).toEqual(['gold', 'silver'])
    })

    it('are taken away once, and can be made again', async () => {
      await using opened = await open()
      const { schedules } = opened
      expect(await schedules.remove(gold, cancel)).toBe('none')
      await schedules.put(scheduleOf(), cancel)
      expect(await schedules.remove(gold, cancel)).toBe('removed')
      expect(await schedules.remove(gold, cancel)).toBe('none')
      expect(await schedules.list(cancel)).toEqual([])
      expect(await schedules.put(scheduleOf(), cancel)).toBe('created')
    })

    it.each([
      ['both day fields', { when: { kind: 'cron', fields: '0 22 13 * 5' } }],
      ['no cron', { when: { kind: 'cron', fields: 'daily' } }],
      ['half a minute', { when: { kind: 'rate', everyMs: 30_000 } }],
      ['a jitter of seconds', { jitterMs: 90_000 }],
      ['a jitter of more than a day', { jitterMs: 1_441 * 60_000 }],
    ] as const)('refuse what a scheduler cannot say (%s), and keep what was', async (_what, change) => {
      await using opened = await open()
      const { schedules } = opened
      await schedules.put(scheduleOf(), cancel)
      await expect(schedules.put(scheduleOf(change), cancel)).rejects.toMatchObject({
        code: 'schedule-refused',
        kind: 'usage',
        facts: { policy: 'gold' },
      })
      expect(await schedules.put(scheduleOf(), cancel)).toBe('same')
    })

    it('do nothing for a caller that has been cancelled', async () => {
      await using opened = await open()
      const gone = { signal: AbortSignal.abort(new Error('over')) }
      await expect(opened.schedules.put(scheduleOf(), gone)).rejects.toThrow('over')
      await expect(opened.schedules.remove(gold, gone)).rejects.toThrow('over')
      await expect(opened.schedules.list(gone)).rejects.toThrow('over')
      expect(await opened.schedules.list(cancel)).toEqual([])
    })
  })
}
