// What happens in one run, from its seed alone: whom it strikes and where, what else goes wrong, and who comes after.

import { type Random, seededRandom, wholeNumber } from '../../lib/base/random.ts'

/** What pre-freeze does once the guest stands still; scripts.ts has their texts. */
export const ENDINGS = ['plain', 'holder', 'slow', 'hangs', 'fails'] as const

export type Ending = (typeof ENDINGS)[number]

/** A call that a calm capture makes between the write of the freeze and the end of the thaw. */
export type Point = {
  readonly way: 'network' | 'vix'
  /** Whether that way is gone when the thaw is called, so that another one is taken. */
  readonly cut: boolean
  readonly call: string
  /** The how manieth call of this name in its freeze, from 1. */
  readonly nth: number
}

export type StrikePlan = {
  readonly point: Point
  /** In which freeze of the job, from 1. */
  readonly freeze: number
  /** 'during': this long after the call began. */
  readonly when: 'before' | 'after' | 'during'
  readonly duringMs: number
  readonly blow: 'kill' | 'stop' | 'pause'
  /** When a process that stands still goes on. */
  readonly wakeMs: number
}

export type CutPlan = {
  readonly what: 'network' | 'tools' | 'guest' | 'vcenter'
  /** After the write of the first freeze; null: when the thaw is called. */
  readonly afterMs: number | null
  /** What becomes of the program that the connection has started. */
  readonly running: 'left' | 'killed'
  readonly backMs: number | null
}

export type Plan = {
  readonly seed: number
  readonly number: number
  readonly order: readonly ('network' | 'vix')[]
  readonly require: 'crash' | 'application'
  readonly mode: 'try' | 'require'
  readonly ending: Ending
  /** How many captures a job may begin. */
  readonly attemptsMax: number
  readonly snapshotMs: number
  /** How much later the first snapshot calls are carried out. */
  readonly snapshotDelay: { readonly ms: number; readonly times: number }
  readonly quiesceFaults: number
  /** What VMware Tools do about a guest that a script holds. */
  readonly whenHeld: 'works' | 'fault'
  readonly strike: StrikePlan | null
  readonly cut: CutPlan | null
  /** 'inside': in the process that works, and dead with it; 'early': its clock is ahead, and it thaws what is still frozen. */
  readonly watch: 'beside' | 'inside' | 'dead' | 'early'
  readonly skewMs: number
  /** How long after the first process fell the next one comes. */
  readonly successorMs: number | null
}

/** Nothing goes wrong, but for the way in when `cut`. */
export function calmPlan({ way, cut }: Pick<Point, 'way' | 'cut'>): Plan {
  return {
    ...{ seed: 0, number: 0, order: way === 'network' ? ['network', 'vix'] : ['vix', 'network'] },
    ...{
      require: 'crash',
      mode: 'try',
      ending: 'plain',
      attemptsMax: 3,
      snapshotMs: 40,
      snapshotDelay: { ms: 0, times: 0 },
    },
    ...{ quiesceFaults: 0, whenHeld: 'works', strike: null, watch: 'beside', skewMs: 0, successorMs: null },
    cut: cut ? { what: way === 'network' ? 'network' : 'tools', afterMs: null, running: 'left', backMs: null } : null,
  }
}

/** Of so many runs, this many strike nobody: then only what else goes wrong is seen. */
const UNSTRUCK = 6

/** The runs of one cycle strike every point before and after; the first cycle always kills. */
export function cycleLength(points: readonly Point[]): number {
  return points.length * 2 + UNSTRUCK
}

/** @param options.points as calm runs have shown them */
export function planOf(options: {
  readonly seed: number
  readonly number: number
  readonly points: readonly Point[]
}): Plan {
  const { seed, number, points } = options
  const random = seededRandom(seed * 1_000_003 + number)
  const targets = [...points].toSorted((a, b) => Number(a.cut) - Number(b.cut))
  const length = cycleLength(points)
  const place = number % length
  const point = targets[Math.floor(place / 2)] ?? null
  const chance = (likely: number) => random.fraction() < likely
  const quiesceFaults = chance(0.2) ? wholeNumber(random, { low: 1, high: 2 }) : 0
  const strike =
    point === null
      ? null
      : strikeOf(random, { point, quiesceFaults, when: place % 2 === 0 ? 'before' : 'after', kills: number < length })
  const way = point?.way ?? pick(random, ['network', 'vix'])
  // In the first cycle every strike must meet its call: nothing else may end the freeze before.
  const surely = number < length && point !== null && !/freeze/.test(point.call)
  const slow = chance(strike === null ? 0.5 : 0.08)
  return {
    ...{ seed, number, order: way === 'network' ? ['network', 'vix'] : ['vix', 'network'] },
    require: chance(0.3) ? 'application' : 'crash',
    mode: chance(0.3) ? 'require' : 'try',
    ending: endingOf(random, point),
    attemptsMax: pick(random, [1, 3, 3, 3]),
    snapshotMs: wholeNumber(random, { low: 20, high: 300 }),
    snapshotDelay: { ms: slow ? wholeNumber(random, { low: 1_200, high: 2_600 }) : 0, times: chance(0.5) ? 1 : 2 },
    quiesceFaults,
    whenHeld: chance(0.1) ? 'fault' : 'works',
    strike,
    cut: cutOf(random, { point, surely }),
    watch: pick(random, ['beside', 'beside', 'inside', 'inside', 'dead', surely ? 'beside' : 'early']),
    skewMs: wholeNumber(random, { low: 600, high: 3_500 }),
    successorMs: pick(random, [0, 0, 1_000, 2_300, null]),
  }
}

type Aim = {
  readonly point: Point
  readonly quiesceFaults: number
  readonly when: 'before' | 'after'
  readonly kills: boolean
}

function strikeOf(random: Random, { point, quiesceFaults, when, kills }: Aim): StrikePlan {
  const blow = kills ? 'kill' : pick(random, ['kill', 'pause', 'pause', 'stop'] as const)
  const during = !kills && random.fraction() < 0.4
  return {
    point,
    freeze: point.cut || kills ? 1 : wholeNumber(random, { low: 1, high: 1 + quiesceFaults }),
    when: during ? 'during' : when,
    duringMs: wholeNumber(random, { low: 0, high: 300 }),
    blow,
    wakeMs: wholeNumber(random, { low: 300, high: 6_000 }),
  }
}

/** Where the snapshot or the thaw is struck, pre-freeze must come to its end first. */
function endingOf(random: Random, point: Point | null): Ending {
  const whole = point !== null && !/freeze/.test(point.call)
  return whole ? pick(random, ['plain', 'plain', 'holder', 'slow']) : pick(random, ENDINGS)
}

function cutOf(
  random: Random,
  { point, surely }: { readonly point: Point | null; readonly surely: boolean },
): CutPlan | null {
  const running = pick(random, ['left', 'killed'] as const)
  if (point?.cut === true) {
    const what = point.way === 'network' ? 'network' : 'tools'
    return { what, afterMs: null, running, backMs: pick(random, [null, 1_500]) }
  }
  if (random.fraction() < 0.65 || surely) return null
  const what = pick(random, ['network', 'tools', 'guest', 'vcenter'] as const)
  const afterMs = wholeNumber(random, { low: 0, high: 1_500 })
  // A vCenter that never comes back is waited for without end.
  const backMs = what === 'vcenter' || random.fraction() < 0.5 ? wholeNumber(random, { low: 200, high: 4_000 }) : null
  return { what, afterMs, running, backMs }
}

function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[Math.floor(random.fraction() * items.length)]
  if (item === undefined) throw new Error('There is nothing to pick from')
  return item
}
