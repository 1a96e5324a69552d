// Two lies at once, drawn by seed: whatever comes of it, it has a name, no point is wrong, and nothing is left. COLDFRAME_SEED replays a
// run, COLDFRAME_PAIRS makes it longer.

import { describe, it } from 'vitest'
import { seededRandom, wholeNumber } from '../../lib/base/random.ts'
import { EXPORT_LIES } from './export-lies.ts'
import type { Lie } from './lie.ts'
import { provePair, seed } from './prove.ts'
import { SNAPSHOT_LIES } from './snapshot-lies.ts'
import { TRACKING_LIES } from './tracking-lies.ts'

const random = seededRandom(seed)
const all = [...TRACKING_LIES, ...SNAPSHOT_LIES, EXPORT_LIES]
  .flatMap(({ lies }) => lies)
  .filter(({ first, unproven }) => first !== true && unproven === undefined)
const draw = (): Lie => {
  const lie = all[wholeNumber(random, { low: 0, high: all.length - 1 })]
  if (lie === undefined) throw new Error('The table is empty')
  return lie
}
const pairs = Array.from({ length: Number(process.env['COLDFRAME_PAIRS'] ?? 6) }, () => ({
  one: draw(),
  other: draw(),
}))

describe.concurrent(`two lies at once (COLDFRAME_SEED=${seed})`, () => {
  it.each(pairs)('$one.lie + $other.lie', { timeout: 120_000 }, ({ one, other }) => provePair(one, other))
})
