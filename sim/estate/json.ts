// Reads hand-written JSON with defaults and collects every fault, so that a bad file is told of all at once.

import { BackupError, quote } from '../../lib/base/errors.ts'

/** One value of a JSON document, with its place in it and the list that faults go to. */
export type JsonSpot = { readonly value: unknown; readonly at: string; readonly faults: string[] }

/**
 * Parses a document and hands its root to `read`.
 * @throws BackupError 'malformed' that lists every fault, one a line
 */
export function readJson<Result>(
  document: { readonly text: string; readonly what: string },
  read: (root: JsonSpot) => Result,
): Result {
  const faults: string[] = []
  let value: unknown
  try {
    value = JSON.parse(document.text)
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new BackupError(`Cannot read ${document.what}: ${message}`, { code: 'malformed', kind: 'usage', cause })
  }
  const result = read({ value, at: '', faults })
  if (faults.length === 0) return result
  throw new BackupError(`Cannot read ${document.what}:\n${faults.map((fault) => `  ${fault}`).join('\n')}`, {
    code: 'malformed',
    kind: 'usage',
    facts: { faults },
  })
}

/** An object whose keys are all known. A method's `fallback` makes its key optional. */
export class JsonObject {
  readonly at: string
  readonly faults: string[]
  readonly #fields: ReadonlyMap<string, unknown>

  constructor(spot: JsonSpot, options: { readonly keys: readonly string[] }) {
    this.at = spot.at
    this.faults = spot.faults
    const isObject = typeof spot.value === 'object' && spot.value !== null && !Array.isArray(spot.value)
    if (!isObject) spot.faults.push(`${spot.at === '' ? 'the document' : spot.at}: must be an object`)
    this.#fields = new Map(isObject ? Object.entries(spot.value ?? {}) : [])
    for (const key of this.#fields.keys()) {
      if (!options.keys.includes(key)) this.fault(key, `is not known here; known are ${options.keys.join(', ')}`)
    }
  }

  has(key: string): boolean {
    return this.#fields.has(key)
  }

  fault(key: string, problem: string): void {
    this.faults.push(`${this.#path(key)}: ${problem}`)
  }

  spot(key: string): JsonSpot {
    return { value: this.#fields.get(key), at: this.#path(key), faults: this.faults }
  }

  text(key: string, options: { readonly fallback?: string }): string {
    return textOf(this.#spotOr(key, options.fallback))
  }

  /** Null when the key is missing or null. */
  textOrNull(key: string): string | null {
    return this.#fields.get(key) === undefined || this.#fields.get(key) === null ? null : textOf(this.spot(key))
  }

  number(key: string, options: { readonly low: number; readonly high: number; readonly fallback?: number }): number {
    const { value } = this.#spotOr(key, options.fallback)
    if (typeof value === 'number' && value >= options.low && value <= options.high) return value
    this.fault(key, `must be a number from ${options.low} to ${options.high}, is ${quote(value)}`)
    return options.low
  }

  wholeNumber(
    key: string,
    options: { readonly low: number; readonly high: number; readonly fallback?: number },
  ): number {
    const value = this.number(key, options)
    if (!Number.isSafeInteger(value)) this.fault(key, `must be a whole number, is ${quote(value)}`)
    return value
  }

  flag(key: string, options: { readonly fallback: boolean }): boolean {
    const { value } = this.#spotOr(key, options.fallback)
    if (typeof value === 'boolean') return value
    this.fault(key, `must be true or false, is ${quote(value)}`)
    return options.fallback
  }

  /** One of the given words; the first one is the fallback of a missing key when `fallback` is not given. */
  choice<const Word extends string>(
    key: string,
    options: { readonly of: readonly [Word, ...Word[]]; readonly fallback?: Word },
  ): Word {
    const { value } = this.#spotOr(key, options.fallback)
    const word = options.of.find((one) => one === value)
    if (word === undefined) this.fault(key, `must be one of ${options.of.join(', ')}, is ${quote(value)}`)
    return word ?? options.of[0]
  }

  list<Item>(
    key: string,
    options: { readonly item: (spot: JsonSpot) => Item; readonly fallback?: readonly Item[] },
  ): readonly Item[] {
    const value = this.#fields.get(key)
    if (value === undefined && options.fallback !== undefined) return options.fallback
    if (Array.isArray(value)) {
      const items: readonly unknown[] = value
      return items.map((item, index) =>
        options.item({ value: item, at: `${this.#path(key)}[${index}]`, faults: this.faults }),
      )
    }
    this.fault(key, `must be a list, is ${quote(value ?? null)}`)
    return []
  }

  #spotOr(key: string, fallback: unknown): JsonSpot {
    const value = this.#fields.has(key) ? this.#fields.get(key) : fallback
    return { value: value ?? null, at: this.#path(key), faults: this.faults }
  }

  #path(key: string): string {
    return this.at === '' ? key : `${this.at}.${key}`
  }
}

/** A text that is not empty. */
export function textOf(spot: JsonSpot): string {
  if (typeof spot.value === 'string' && spot.value !== '') return spot.value
  spot.faults.push(`${spot.at}: must be a text, is ${quote(spot.value)}`)
  return ''
}
