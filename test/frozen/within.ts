// Waiting for something to come true.

import { setTimeout as sleep } from 'node:timers/promises'

/** @returns whether it came true in time */
export async function within(limitMs: number, isSo: () => boolean | Promise<boolean>): Promise<boolean> {
  const endMs = performance.now() + limitMs
  while (!(await isSo())) {
    if (performance.now() > endMs) return false
    await sleep(25)
  }
  return true
}
