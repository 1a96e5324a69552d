// Fifty runs of `npm run test:chaos` (main.ts). COLDFRAME_SEED: which.

import { describe, expect, it } from 'vitest'
import { FAULT_KINDS } from './fault-kinds.ts'
import { carryOutMany, summaryOf } from './many.ts'
import { planOf } from './plan.ts'
import { carryOut } from './run.ts'
import { soapPlanOf } from './soap-plan.ts'

const seed = Number(process.env['COLDFRAME_SEED'] ?? Date.now() % 1_000_000)
const LIMIT_MS = 600_000

describe('backups while everything fails at random', () => {
  it(`restore what was frozen, and leave nothing behind (seed ${seed})`, { timeout: LIMIT_MS }, async () => {
    const told: string[] = []
    const summary = await carryOutMany({
      ...{ seed, runs: Array.from({ length: 50 }, (_, run) => run), atOnce: 2 },
      onResult: ({ plan, faults }) =>
        told.push(...faults.map((fault) => `npm run test:chaos -- --seed ${seed} --run ${plan.run}: ${fault}`)),
    })
    expect(told).toEqual([])
    expect(summary).toMatchObject({ runs: 50, wrongDisks: 0, orphans: 0, leakedPlaces: 0, crowded: 0 })
    expect(summary.points).toBeGreaterThan(100)
    expect(Object.keys(summary.struck).length).toBeGreaterThan(FAULT_KINDS.length / 3)
  })

  it('go the same way when they are carried out again', { timeout: LIMIT_MS }, async () => {
    for (const run of [1, 2, 3]) {
      const [first, again] = [await carryOut(planOf({ seed: 7, run })), await carryOut(planOf({ seed: 7, run }))]
      expect(first.calls).toBeGreaterThan(500)
      expect({ ...again, elapsedMs: first.elapsedMs }).toEqual(first)
      expect(summaryOf([first]).failed).toEqual([])
    }
    expect(soapPlanOf({ seed: 7, run: 19 })).toEqual(soapPlanOf({ seed: 7, run: 19 }))
  })
})
