import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { costOf, DEFAULT_PRICES, storageCostOf } from '../../lib/model/prices.ts'
import { addUsage, NO_USAGE, type Usage, usageSince } from '../../lib/model/usage.ts'

const amounts = fc.record(
  Object.fromEntries(Object.keys(NO_USAGE).map((name) => [name, fc.integer({ min: 0, max: 1e9 })])),
)
const usages = (): fc.Arbitrary<Usage> => amounts.map((parts) => addUsage(NO_USAGE, parts))

describe('usage', () => {
  it('is the sum of its parts, and what came since is what was added', () =>
    fc.assert(
      fc.property(usages(), usages(), (before, more) => {
        expect(usageSince(addUsage(before, more), before)).toEqual(more)
        expect(addUsage(before, more)).toEqual(addUsage(more, before))
      }),
    ))
})

describe('costOf()', () => {
  // A full of 1 TiB as PERFORMANCE's model has it: 24,183 puts of packs for $0.121; 2 vCPUs and 4 GB for an hour: about $0.099.
  it('prices a full backup as the model of the format does', () => {
    const hourMs = 3_600_000
    const usage = { ...NO_USAGE, storePuts: 24_183, taskVcpuMs: 2 * hourMs, taskGbMs: 4 * hourMs }
    const { parts, total } = costOf(usage, DEFAULT_PRICES)
    expect(parts.store).toBeCloseTo(0.121, 3)
    expect(parts.tasks).toBeCloseTo(0.0987, 4)
    expect(total).toBeCloseTo(0.2197, 4)
    expect(storageCostOf(378 * 2 ** 30, DEFAULT_PRICES)).toBeCloseTo(8.694, 3)
  })

  it('gives every kind of usage a price', () => {
    for (const name of Object.keys(NO_USAGE)) {
      // Bytes into and out of S3 are free inside a region; requests and storage are what costs.
      const isFree = name === 'storePutBytes' || name === 'storeGetBytes'
      const cost = costOf(addUsage(NO_USAGE, { [name]: 1e9 }), DEFAULT_PRICES)
      expect(cost.total > 0, name).toBe(!isFree)
    }
  })

  it('adds up: the cost of two is the cost of both together', () =>
    fc.assert(
      fc.property(usages(), usages(), (a, b) => {
        const sum = costOf(a, DEFAULT_PRICES).total + costOf(b, DEFAULT_PRICES).total
        const both = costOf(addUsage(a, b), DEFAULT_PRICES).total
        expect(Math.abs(both - sum)).toBeLessThanOrEqual(1e-9 * Math.max(1, both))
      }),
    ))
})
