// Values of options, and what every group of commands is given.

import { type Command, InvalidArgumentError } from 'commander'
import type { Answer } from './answer.ts'
import type { World } from './world.ts'

export type CommandEnds = {
  /** What was found out, and what was asked for. */
  readonly finish: (answer: Answer, options: { readonly json: boolean }) => void
  readonly world: World
}

/** Adds a command with what all have. */
export type AddCommand = (name: string, description: string) => Command

/** As commander gives them: what was not given is missing. */
export type Json = { readonly json?: true }

export function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}

export function collectKeys(value: string, earlier: readonly number[] = []): readonly number[] {
  return [...earlier, wholeNumber(value)]
}

export function wholeNumber(value: string): number {
  const number = Number(value)
  if (/^[0-9]+$/.test(value) && Number.isSafeInteger(number) && number > 0) return number
  throw new InvalidArgumentError('A whole number is needed.')
}
