// What every source of randomness keeps. Run on each implementation.

import { describe, expect, it } from 'vitest'
import { type Random, wholeNumber } from '../../lib/base/random.ts'

export function randomContract(name: string, open: () => Random): void {
  describe(`random: ${name}`, () => {
    it('gives as many bytes as asked, each time others', () => {
      const random = open()
      for (const count of [0, 1, 3, 4, 5, 16, 1000]) expect(random.bytes(count)).toHaveLength(count)
      const drawn = Array.from({ length: 200 }, () => Buffer.from(random.bytes(16)).toString('hex'))
      expect(new Set(drawn).size).toBe(200)
    })

    it('hands out bytes that are the caller’s own', () => {
      const random = open()
      const first = random.bytes(32)
      const copy = first.slice()
      random.bytes(32).fill(0)
      expect(first).toEqual(copy)
    })

    it('gives fractions in [0, 1) and bytes that use the whole range', () => {
      const random = open()
      const fractions = Array.from({ length: 4_000 }, () => random.fraction())
      expect(Math.min(...fractions)).toBeGreaterThanOrEqual(0)
      expect(Math.max(...fractions)).toBeLessThan(1)
      // The mean of 4,000 uniform draws leaves [0.4, 0.6] once in more than 10^90 runs.
      const mean = fractions.reduce((sum, value) => sum + value, 0) / fractions.length
      expect(mean).toBeGreaterThan(0.4)
      expect(mean).toBeLessThan(0.6)
      expect(new Set(random.bytes(16_384)).size).toBe(256)
    })

    it('wholeNumber() reaches both ends and nothing beyond', () => {
      const random = open()
      const drawn = new Set(Array.from({ length: 500 }, () => wholeNumber(random, { low: -1, high: 2 })))
      expect([...drawn].toSorted((a, b) => a - b)).toEqual([-1, 0, 1, 2])
    })
  })
}
