// Many runs, several at once, and what they come to.

import { mapBounded } from '../kit/map-bounded.ts'
import { nameOf } from './calls.ts'
import { calmPlan, cycleLength, type Plan, type Point, planOf } from './plan.ts'
import { carryOut, type RunResult } from './run.ts'

export type ManyOptions = {
  readonly seed: number
  readonly runs: number
  readonly atOnce: number
  /** The number of the one run to carry out; null: all. */
  readonly only: number | null
  readonly onResult: (result: RunResult, done: number) => void
}

export type Summary = {
  readonly runs: number
  readonly failed: readonly RunResult[]
  readonly freezes: number
  /** How many freezes each net has thawed. */
  readonly thawedBy: Readonly<Record<string, number>>
  readonly longestMs: number
  readonly longestHoldMs: number
  /** How many runs ended with a point of this grade, or without one. */
  readonly grades: Readonly<Record<string, number>>
  readonly outcomes: Readonly<Record<string, number>>
  readonly strikes: { readonly struck: readonly string[]; readonly missed: readonly string[] }
  /** Freezes that were not thawed within their limit. */
  readonly leftFrozen: number
}

/** The calls of capture between freeze and thaw, over each way in, and over the other one when the first is cut. */
export async function pointsOfCalmRuns(): Promise<readonly Point[]> {
  const kinds = [false, true].flatMap((cut) => (['network', 'vix'] as const).map((way) => ({ way, cut })))
  const found = await mapBounded(kinds, { atOnce: 2 }, async (kind) => {
    const { faults, calls, grade, log } = await carryOut(calmPlan(kind))
    if (faults.length > 0 || grade !== 'application')
      throw new Error(`A calm run over ${kind.way} gave grade ${grade}: ${faults.join('; ')}\n${log.join('\n')}`)
    return calls.map(({ call, nth }): Point => ({ ...kind, call, nth }))
  })
  const plain = found.flat().filter(({ cut }) => !cut)
  // Ways in take turns: the first runs see both.
  const turns = plain.toSorted((a, b) => plain.filter(sameWay(a)).indexOf(a) - plain.filter(sameWay(b)).indexOf(b))
  return [...turns, ...found.flat().filter(({ cut }) => cut)]
}

function sameWay({ way }: Point) {
  return (other: Point): boolean => other.way === way
}

export async function carryOutMany(options: ManyOptions): Promise<Summary> {
  const { seed, runs, only, onResult } = options
  const points = await pointsOfCalmRuns()
  const numbers = only === null ? Array.from({ length: runs }, (_, number) => number) : [only]
  const plans = numbers.map((number) => planOf({ seed, number, points }))
  let done = 0
  const results = await mapBounded(plans, options, async (plan) => {
    const result = await orFailed(plan)
    onResult(result, ++done)
    return result
  })
  return summaryOf(results, points)
}

async function orFailed(plan: Plan): Promise<RunResult> {
  try {
    return await carryOut(plan)
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return {
      ...{ plan, faults: [why], freezes: [], leftFrozen: 0, heldMs: 0, grade: null, outcome: 'broken' },
      ...{ elapsedMs: 0, struck: false, calls: [], log: [] },
    }
  }
}

function summaryOf(results: readonly RunResult[], points: readonly Point[]): Summary {
  const freezes = results.flatMap((result) => result.freezes)
  const struck = new Set(
    results.flatMap(({ plan: { strike }, struck: hit }) =>
      strike === null || !hit ? [] : [`${strike.when} ${nameOf(strike.point)}`],
    ),
  )
  // A run that ends in the middle of these is not expected to meet every point.
  const planned = points.slice(0, Math.ceil((Math.min(results.length, cycleLength(points)) - 1) / 2))
  const wanted =
    results.length < 2 ? [] : planned.flatMap((point) => ['before', 'after'].map((when) => `${when} ${nameOf(point)}`))
  return {
    runs: results.length,
    failed: results.filter(({ faults }) => faults.length > 0),
    freezes: freezes.length,
    thawedBy: countOf(freezes.map(({ thawedBy }) => thawedBy)),
    longestMs: Math.max(0, ...freezes.map(({ frozenMs }) => frozenMs)),
    longestHoldMs: Math.max(0, ...results.map(({ heldMs }) => heldMs)),
    grades: countOf(results.map(({ grade }) => grade ?? 'no point')),
    outcomes: countOf(results.map(({ outcome }) => outcome)),
    strikes: { struck: wanted.filter((one) => struck.has(one)), missed: wanted.filter((one) => !struck.has(one)) },
    leftFrozen: results.reduce((sum, { leftFrozen }) => sum + leftFrozen, 0),
  }
}

function countOf(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const name of names.toSorted()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
