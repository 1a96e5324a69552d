// The short form of `npm run test:cloud` (main.ts), in a process of its own, whose clock it moves.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import type { CloudSummary } from './summary.ts'

type Document = {
  readonly ok: boolean
  readonly data?: { readonly seed: number; readonly summary: CloudSummary; readonly faults: readonly string[] }
  readonly error?: { readonly message: string }
}

const LIMIT_MS = 240_000

it('the packaged stack backs up and restores on this machine, in a calm and in trouble', {
  timeout: LIMIT_MS,
}, async () => {
  const seed = process.env['COLDFRAME_SEED'] ?? String(Date.now() % 1_000_000)
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), '--short', '--json', '--seed', seed], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: AbortSignal.timeout(LIMIT_MS - 5_000),
  })
  const [printed, [code]] = await Promise.all([text(child.stdout), once(child, 'close')])
  const { ok, data, error }: Document = JSON.parse(printed)
  expect({ seed, faults: data?.faults, error }).toEqual({ seed, faults: [], error: undefined })
  expect([ok, code]).toEqual([true, 0])
  expect(data?.summary).toMatchObject({ isEqual: true, disks: 9 })
  // One mover a backup, one more for the one that was killed, and the restore.
  expect(data?.summary.tasks).toBe(8)
  expect(data?.summary.invocations).toMatchObject({ schedule: 2, alarm: 1, webhook: 2 })
  expect(data?.summary.duplicates).toBeGreaterThan(5)
  expect(data?.summary.deaths).toBeGreaterThanOrEqual(7)
})
