// From the beginning of an id to the one thing that has it.

import { BackupError, quote } from '../lib/base/errors.ts'

type Search<Item> = {
  readonly what: 'job' | 'run'
  /** What was typed. */
  readonly id: string
  readonly idOf: (item: Item) => string
}

/** @throws BackupError `usage`; `<what>-not-found`, `<what>-ambiguous` (not-found) */
export function findByBeginning<Item>(items: readonly Item[], { what, id, idOf }: Search<Item>): Item {
  if (!isBeginning(id)) {
    throw new BackupError(`Cannot tell which ${what} ${quote(id)} is`, {
      code: 'usage',
      kind: 'usage',
      hint: 'Give 4 to 32 digits of its id; "coldframe jobs" lists them',
    })
  }
  const matches = items.filter((item) => idOf(item).startsWith(id.toLowerCase()))
  const [item] = matches
  if (item !== undefined && matches.length === 1) return item
  if (item === undefined) {
    throw new BackupError(`Cannot find ${what} ${quote(id)}`, {
      code: `${what}-not-found`,
      kind: 'not-found',
      hint: '"coldframe jobs" lists those that are known here',
      facts: { [what]: id },
    })
  }
  throw new BackupError(`${matches.length} ${what}s begin with ${quote(id)}`, {
    code: `${what}-ambiguous`,
    kind: 'not-found',
    hint: 'Give more digits',
    facts: { candidates: matches.slice(0, 100).map(idOf) },
  })
}

export function isBeginning(id: string): boolean {
  return /^[0-9a-f]{4,32}$/i.test(id)
}
