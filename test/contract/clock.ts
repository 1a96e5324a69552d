// What every clock keeps. Run on each implementation.

import { describe, expect, it } from 'vitest'
import type { Clock } from '../../lib/base/clock.ts'

const signal = new AbortController().signal

/** @param open a clock, and what makes its time pass by at least this much */
export function clockContract(
  name: string,
  open: () => { readonly clock: Clock; readonly pass: (ms: number) => Promise<void> },
): void {
  describe(`clock: ${name}`, () => {
    it('goes on', async () => {
      const { clock, pass } = open()
      const [wallMs, monotonicMs] = [clock.nowMs(), clock.monotonicMs()]
      await pass(30)

      expect(clock.nowMs()).toBeGreaterThanOrEqual(wallMs + 25)
      expect(clock.monotonicMs()).toBeGreaterThanOrEqual(monotonicMs + 25)
    })

    it('wakes a sleeper not before its time', async () => {
      const { clock, pass } = open()
      const startedMs = clock.monotonicMs()
      let woke = false
      const sleep = clock.sleep(60, { signal }).then(() => {
        woke = true
      })
      await pass(20)
      expect(woke).toBe(false)
      await pass(60)
      await sleep

      expect(clock.monotonicMs() - startedMs).toBeGreaterThanOrEqual(59)
    })

    it('ends a cancelled sleep with the reason', async () => {
      const { clock } = open()
      const stop = new AbortController()
      const sleep = clock.sleep(60_000, { signal: stop.signal })
      stop.abort(new Error('enough'))

      await expect(sleep).rejects.toThrow('enough')
      await expect(clock.sleep(1, { signal: stop.signal })).rejects.toThrow('enough')
    })
  })
}
