// Twenty runs of `npm run test:frozen` (main.ts), which has many more: the first twenty of a seed kill capture before and after
// each call between freeze and thaw, over each way in. COLDFRAME_SEED: which runs.

import { describe, expect, it } from 'vitest'
import { carryOutMany } from './many.ts'

const seed = Number(process.env['COLDFRAME_SEED'] ?? Date.now() % 1_000_000)

describe('a guest that is frozen by a script', () => {
  it(`is thawed within its limit and once, whatever dies (seed ${seed})`, { timeout: 600_000 }, async () => {
    const told: string[] = []
    const summary = await carryOutMany({
      ...{ seed, runs: 20, atOnce: 8, only: null },
      onResult: ({ plan, faults }) =>
        told.push(...faults.map((fault) => `npm run test:frozen -- --seed ${seed} --only ${plan.number}: ${fault}`)),
    })
    expect(told).toEqual([])
    expect(summary.leftFrozen).toBe(0)
    expect(summary.strikes.missed).toEqual([])
    expect(summary.strikes.struck).toHaveLength(20)
    expect(summary.freezes).toBeGreaterThan(15)
  })
})
