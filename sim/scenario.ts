// Faults of the simulated vCenter by call and by chance, from a scenario file or armed while it runs.

import { createHash } from 'node:crypto'
import { type Random, seededRandom } from '../lib/base/random.ts'
import { JsonObject, type JsonSpot, readJson } from './estate/json.ts'
import type { SimMishap, SimScenario } from './machine/types.ts'

export type FaultRule = {
  /** An API method's name, '/folder', '/guestFile', or '*' for every call. */
  readonly call: string
  /** When: from the nth matching call on, or at each with this chance. */
  readonly when: { readonly kind: 'nth'; readonly nth: number } | { readonly kind: 'chance'; readonly chance: number }
  /** How often at most. */
  readonly times: number
  readonly mishap: SimMishap
}

export type ScenarioDescription = { readonly seed: number; readonly faults: readonly FaultRule[] }

/** Nothing goes wrong. */
export const calm: ScenarioDescription = { seed: 1, faults: [] }

/**
 * Reads a scenario file: `{"seed": 1, "faults": [{"call": "CreateSnapshot_Task", "nth": 1, "mishap": {"kind": "delay",
 * "delayMs": 500}}]}`. A rule has `nth` or `chance`; `times` bounds it (1 for nth, no bound for chance).
 * @throws BackupError 'malformed' that lists all faults
 */
export function parseScenario(text: string, options: { readonly name: string }): ScenarioDescription {
  return readJson({ text, what: `the scenario "${options.name}"` }, (root) => {
    const object = new JsonObject(root, { keys: ['seed', 'faults'] })
    return {
      seed: object.wholeNumber('seed', { low: 0, high: 2 ** 31, fallback: calm.seed }),
      faults: object.list('faults', { item: readFaultRule, fallback: [] }),
    }
  })
}

export function readFaultRule(spot: JsonSpot): FaultRule {
  const object = new JsonObject(spot, { keys: ['call', 'nth', 'chance', 'times', 'mishap'] })
  const byChance = object.has('chance')
  if (byChance === object.has('nth')) object.fault('nth', 'give either "nth" or "chance"')
  const most = Number.MAX_SAFE_INTEGER
  return {
    call: object.text('call', {}),
    when: byChance
      ? { kind: 'chance', chance: object.number('chance', { low: 0, high: 1 }) }
      : { kind: 'nth', nth: object.wholeNumber('nth', { low: 1, high: most, fallback: 1 }) },
    times: object.wholeNumber('times', { low: 1, high: most, fallback: byChance ? most : 1 }),
    mishap: readMishap(object.spot('mishap')),
  }
}

/** Counts calls and decides on faults; the same seed and the same calls give the same faults. */
export class Scenario implements SimScenario {
  readonly #seed: number
  readonly #calls = new Map<string, number>()
  #rules: readonly LiveRule[] = []
  #armed = 0

  constructor(description: ScenarioDescription) {
    this.#seed = description.seed
    for (const rule of description.faults) this.arm(rule)
  }

  /** Adds a rule; its calls are counted from now on. */
  arm(rule: FaultRule): void {
    const seed = createHash('sha256')
      .update(`${this.#seed} ${this.#armed++}`)
      .digest()
      .readInt32LE(0)
    this.#rules = [...this.#rules, { rule, random: seededRandom(seed), seen: 0, done: 0 }]
  }

  /** Forgets every rule. */
  disarm(): void {
    this.#rules = []
  }

  /** How often each call was made. */
  calls(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#calls)
  }

  faultBefore(call: string): SimMishap | null {
    this.#calls.set(call, (this.#calls.get(call) ?? 0) + 1)
    let mishap: SimMishap | null = null
    for (const live of this.#rules) {
      if (live.rule.call !== call && live.rule.call !== '*') continue
      live.seen++
      if (mishap !== null || live.done >= live.rule.times || !strikes(live)) continue
      live.done++
      mishap = live.rule.mishap
    }
    return mishap
  }
}

type LiveRule = { readonly rule: FaultRule; readonly random: Random; seen: number; done: number }

function strikes({ rule, random, seen }: LiveRule): boolean {
  return rule.when.kind === 'nth' ? seen >= rule.when.nth : random.fraction() < rule.when.chance
}

const KINDS = [
  ...(['fault', 'task-fault', 'task-fault-after', 'delay', 'drop-connection'] as const),
  ...(['expire-session', 'http-status', 'short-body', 'wrong-range'] as const),
] as const

const KEYS: Readonly<Record<SimMishap['kind'], readonly string[]>> = {
  fault: ['kind', 'fault', 'message'],
  'task-fault': ['kind', 'fault', 'message'],
  'task-fault-after': ['kind', 'fault', 'message'],
  delay: ['kind', 'delayMs'],
  'drop-connection': ['kind'],
  'expire-session': ['kind'],
  'http-status': ['kind', 'status'],
  'short-body': ['kind'],
  'wrong-range': ['kind'],
}

function readMishap(spot: JsonSpot): SimMishap {
  const kind = new JsonObject({ ...spot, faults: [] }, { keys: [] }).spot('kind').value
  const known = KINDS.find((one) => one === kind)
  const object = new JsonObject(spot, { keys: known === undefined ? ['kind', 'fault', 'message'] : KEYS[known] })
  const chosen = object.choice('kind', { of: KINDS })
  switch (chosen) {
    case 'fault':
    case 'task-fault':
    case 'task-fault-after': {
      const fault = known === undefined ? '' : object.text('fault', {})
      return { kind: chosen, fault, message: object.text('message', { fallback: `The scenario asked for ${fault}` }) }
    }
    case 'delay':
      return { kind: chosen, delayMs: object.number('delayMs', { low: 0, high: 3_600_000 }) }
    case 'http-status':
      return { kind: chosen, status: object.wholeNumber('status', { low: 100, high: 599 }) }
    default:
      return { kind: chosen }
  }
}
