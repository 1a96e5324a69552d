// Faults of the simulated vCenter by call and by chance, from a scenario file or armed while it runs.

import { createHash } from 'node:crypto'
import { messageOf } from '../lib/base/errors.ts'
import { type Random, seededRandom } from '../lib/base/random.ts'
import { JsonObject, type JsonSpot, readJson } from './estate/json.ts'
import type { SimMishap, SimScenario } from './machine/types.ts'
import { type ActionMishap, type Mishap, readMishap } from './read-mishap.ts'

export type FaultRule = {
  /**
   * An API method's name, '/folder', '/folder range' (those with a Range alone), '/nfc', '/nfc piece' (within a stream), '/guestFile', or
   * '*' for every call.
   */
  readonly call: string
  /** When: from the nth matching call on, or at each with this chance. */
  readonly when: { readonly kind: 'nth'; readonly nth: number } | { readonly kind: 'chance'; readonly chance: number }
  /** How often at most. */
  readonly times: number
  readonly mishap: Mishap
}

export type ScenarioDescription = { readonly seed: number; readonly faults: readonly FaultRule[] }

/** Nothing goes wrong. */
export const calm: ScenarioDescription = { seed: 1, faults: [] }

/**
 * Reads a scenario file: `{"seed": 1, "faults": [{"call": "CreateSnapshot_Task", "nth": 1, "mishap": {"kind": "delay",
 * "delayMs": 500}}]}`. A rule has `nth` or `chance`; `times` bounds it (1 for nth, no bound for chance). The kinds of mishaps are those of
 * SimMishap, and one that does something to a machine just before the call is carried out, as the control port does it: `{"kind":
 * "action", "vm": "db-01", "action": "remove-all-snapshots", "body": {}}` (see changeMachine()).
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

/** Does what a rule wants done to a machine. */
export type Act = (wish: ActionMishap) => void

/** Counts calls and decides on faults; the same seed and the same calls give the same faults. */
export class Scenario implements SimScenario {
  readonly #seed: number
  readonly #act: Act
  readonly #failures: string[] = []
  readonly #calls = new Map<string, number>()
  readonly #struck = new Map<string, number>()
  #rules: readonly LiveRule[] = []
  #armed = 0

  /** @param act what carries out actions; without it they fail */
  constructor(description: ScenarioDescription, act: Act = actNowhere) {
    this.#seed = description.seed
    this.#act = act
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

  /** The rules by the nth call that have not struck yet. */
  waiting(): readonly FaultRule[] {
    return this.#rules.flatMap(({ rule, done }) => (rule.when.kind === 'nth' && done === 0 ? [rule] : []))
  }

  /** How often each call was made. */
  calls(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#calls)
  }

  /** How often each kind of mishap struck; actions by their names. */
  struck(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#struck)
  }

  /** Why actions of rules could not be carried out, oldest first. */
  failures(): readonly string[] {
    return this.#failures
  }

  /** Actions are carried out here, all that strike; of other mishaps the first one counts. */
  faultBefore(call: string): SimMishap | null {
    this.#calls.set(call, (this.#calls.get(call) ?? 0) + 1)
    let mishap: SimMishap | null = null
    for (const live of this.#rules) {
      if (live.rule.call !== call && live.rule.call !== '*') continue
      live.seen++
      const wish = live.rule.mishap
      const counts = wish.kind === 'action' || mishap === null
      if (!counts || live.done >= live.rule.times || !strikes(live)) continue
      live.done++
      const kind = wish.kind === 'action' ? wish.action : wish.kind
      this.#struck.set(kind, (this.#struck.get(kind) ?? 0) + 1)
      if (wish.kind === 'action') this.#carryOut(wish)
      else mishap = wish
    }
    return mishap
  }

  #carryOut(wish: ActionMishap): void {
    try {
      this.#act(wish)
    } catch (error) {
      this.#failures.push(`${wish.action} of "${wish.vm}": ${messageOf(error)}`)
    }
  }
}

function actNowhere({ vm }: ActionMishap): never {
  throw new Error(`There is no estate with a machine "${vm}"`)
}

type LiveRule = { readonly rule: FaultRule; readonly random: Random; seen: number; done: number }

function strikes({ rule, random, seen }: LiveRule): boolean {
  return rule.when.kind === 'nth' ? seen >= rule.when.nth : random.fraction() < rule.when.chance
}
