// Chance by seed, run and purpose: the same three give the same throws, whatever else is thrown.

import { createHash } from 'node:crypto'
import { seededRandom } from '../../lib/base/random.ts'

export type Dice = {
  /** True with this chance. */
  hits(chance: number): boolean
  /** A whole number, both ends included. */
  number(low: number, high: number): number
  /** @throws when the list is empty */
  pick<Item>(items: readonly Item[]): Item
  /** So many different items, or all there are, in the order of the list. */
  some<Item>(items: readonly Item[], count: number): readonly Item[]
}

export function diceOf(...purpose: readonly (string | number)[]): Dice {
  const random = seededRandom(createHash('sha256').update(JSON.stringify(purpose)).digest().readInt32LE(0))
  const number = (low: number, high: number) => low + Math.floor(random.fraction() * (high - low + 1))
  return {
    hits: (chance) => random.fraction() < chance,
    number,
    pick: (items) => {
      const item = items[number(0, items.length - 1)]
      if (item === undefined) throw new Error('There is nothing to pick from')
      return item
    },
    some: (items, count) => {
      const left = items.map((_, index) => index)
      const taken = new Set<number>()
      while (taken.size < Math.min(count, items.length)) {
        for (const index of left.splice(number(0, left.length - 1), 1)) taken.add(index)
      }
      return items.filter((_, index) => taken.has(index))
    },
  }
}
