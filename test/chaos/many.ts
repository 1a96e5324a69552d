// Many runs, on several processors, and what they come to.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { AnyResult } from './carry-out.ts'

export type ManyOptions = {
  readonly seed: number
  readonly runs: readonly number[]
  /** Processes. */
  readonly atOnce: number
  readonly onResult: (result: AnyResult, done: number) => void
}

export type Summary = {
  readonly runs: number
  readonly failed: readonly { readonly run: number; readonly faults: readonly string[] }[]
  /** How often each fault struck. */
  readonly struck: Readonly<Record<string, number>>
  readonly points: number
  readonly disks: number
  readonly outcomes: Readonly<Record<string, number>>
  readonly wrongDisks: number
  readonly unprovenDisks: number
  readonly unseenDisks: number
  readonly orphans: number
  readonly leakedPlaces: number
  /** Snapshots made while another VM of the group had one. */
  readonly crowded: number
}

/** What a worker is told, and what it answers with. */
export type Order = { readonly seed: number; readonly run: number }

/** @throws Error when a worker ends before its runs do */
export async function carryOutMany({ seed, runs, atOnce, onResult }: ManyOptions): Promise<Summary> {
  const left = [...runs]
  const results: AnyResult[] = []
  const work = async (): Promise<void> => {
    if (left.length === 0) return
    const child = fork(join(import.meta.dirname, 'worker.ts'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const ended = once(child, 'exit')
    for (let run = left.shift(); run !== undefined; run = left.shift()) {
      const number = run
      const answer = new Promise<AnyResult>((resolve, reject) => {
        child.once('message', (message) => resolve(message as AnyResult))
        void ended.then(([code]) => reject(new Error(`Run ${number} of seed ${seed} ended its process (${code})`)))
      })
      child.send({ seed, run } satisfies Order)
      const result = await answer
      results.push(result)
      onResult(result, results.length)
    }
    child.disconnect()
    await ended
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return summaryOf(results)
}

export function summaryOf(results: readonly AnyResult[]): Summary {
  const struck: Record<string, number> = {}
  const outcomes: Record<string, number> = {}
  for (const result of results) {
    for (const [kind, count] of Object.entries(result.struck)) struck[kind] = (struck[kind] ?? 0) + count
    for (const outcome of result.outcomes) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  }
  const sum = (of: (result: AnyResult) => number) => results.reduce((total, result) => total + of(result), 0)
  return {
    runs: results.length,
    failed: results
      .filter(({ faults }) => faults.length > 0)
      .map(({ plan, faults }) => ({ run: plan.run, faults }))
      .toSorted((a, b) => a.run - b.run),
    struck: sorted(struck),
    points: sum((result) => result.points),
    disks: sum((result) => result.disks),
    outcomes: sorted(outcomes),
    unprovenDisks: sum((result) => result.unprovenDisks),
    unseenDisks: sum((result) => result.unseenDisks),
    wrongDisks: sum((result) => result.wrongDisks),
    orphans: sum((result) => result.orphans),
    leakedPlaces: sum((result) => result.leakedPlaces),
    crowded: sum((result) => result.crowded),
  }
}

function sorted(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(counts).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
