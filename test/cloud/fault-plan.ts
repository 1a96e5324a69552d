// Which troubles a run of the cloud goes through, in order.

import type { FaultRun } from './fault-runs.ts'
import { atWrite, loseAnswersOf, noCapacity, poison, strangeEvents, throttling, twice } from './troubles.ts'

/** No program makes more writes than this for one small VM: later ones strike nobody. */
const WRITES_MAX = 16

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

/** Every n-th write of every program; `after`: it took place, `before`: it did not. */
const deathAfter = (nth: number): FaultRun => ({
  name: `death-after-${nth}`,
  trouble: atWrite('die-after', nth),
  toTheEnd: false,
})
const deathBefore = (nth: number): FaultRun => ({
  name: `death-before-${nth}`,
  trouble: atWrite('die-before', nth),
  toTheEnd: false,
})
const lostAnswer = (nth: number): FaultRun => ({
  name: `lost-answer-${nth}`,
  trouble: atWrite('lose-answer', nth),
  toTheEnd: false,
})

const OTHERS: readonly FaultRun[] = [
  { name: 'twice', trouble: twice, toTheEnd: true },
  { name: 'no-capacity', trouble: noCapacity(5), toTheEnd: true },
  { name: 'lost-start', trouble: loseAnswersOf(['RunTask']), toTheEnd: true },
  { name: 'throttling', trouble: throttling, toTheEnd: true },
  { name: 'strange-events', trouble: strangeEvents, toTheEnd: true },
]

/** Last: what is poisoned is given up only when it was delivered often enough. */
const LAST: FaultRun = { name: 'poison', trouble: poison, toTheEnd: true, buries: ({ cloud }) => cloud.sources.length }

/** @param of `short`: a choice for every run of the tests; `usual`; `all`: every write, in all three ways */
export function faultPlan(of: 'short' | 'usual' | 'all'): readonly FaultRun[] {
  switch (of) {
    case 'short':
      return [...OTHERS.slice(0, 1), deathAfter(2), lostAnswer(1)]
    case 'usual':
      return [
        ...OTHERS,
        ...upTo(WRITES_MAX).map(deathAfter),
        ...[1, 2, 4, 7, 11].flatMap((nth) => [lostAnswer(nth), deathBefore(nth)]),
        LAST,
      ]
    case 'all': {
      const writes = upTo(WRITES_MAX)
      return [...OTHERS, ...writes.map(deathAfter), ...writes.map(deathBefore), ...writes.map(lostAnswer), LAST]
    }
  }
}
