// A backup whose audit catches changed block tracking is struck at every call: what follows from it happens all the same, once.

import { expect, it } from 'vitest'
import { assert } from '../../lib/base/errors.ts'
import { listAnnotations } from '../../lib/repository/annotations.ts'
import { allPoints, wrongDisks } from '../stages/backups.ts'
import { cancel, policyWith, type World } from '../stages/world.ts'
import { type Scene, surviveEach, worldWithLie } from './matrix.ts'

const LIMIT_MS = 300_000

/** The lie was found by the struck backup, or by the one after it: either way everything that it touches is known for what it is. */
async function checkLie(world: World): Promise<void> {
  const points = await allPoints(world)
  const { annotations, unreadable } = await listAnnotations({ repository: world.repository }, cancel)
  expect(unreadable).toEqual([])
  const byFinder = new Map<string, number[]>()
  for (const { sequence, said } of annotations) {
    const finder = said?.kind === 'unproven' ? said.foundBy : ''
    byFinder.set(finder, [...(byFinder.get(finder) ?? []), sequence])
  }
  // A finder whose own point was never written leaves its marks, too.
  expect(byFinder.size).toBeGreaterThan(0)
  for (const sequences of byFinder.values()) expect(sequences).toEqual([2, 3])
  const [first] = points
  assert(first !== undefined, 'there are points')
  const history = (await world.jobStore.vms.get(first.envelope.vmId, cancel))?.value
  assert(history !== undefined, 'something is remembered of the VM')
  // Found by the struck backup the reset is done by the next one; found by the next one it is due.
  expect(history.trackingReset !== null || history.lastReset !== null).toBe(true)
  const told = world.events.published.filter(({ type }) => type === 'coldframe.audit.mismatch')
  expect(new Set(told.map(({ id }) => id)).size).toBe(byFinder.size)
  for (const point of points) {
    const { sequence } = point.envelope
    const wrong = await wrongDisks(world, point)
    if (wrong.length > 0) expect(annotations.map((one) => one.sequence)).toContain(sequence)
  }
}

const scene: Scene = {
  build: worldWithLie,
  policy: policyWith({ changeTracking: { auditPercent: 100 } }),
  check: checkLie,
}

it(
  'a stage that fails, stops or dies at any call leaves the lie known, the points marked and the reset due or done',
  async () => {
    for (const blow of ['unreachable', 'stop', 'kill'] as const) {
      for (const when of ['before', 'after'] as const) {
        const ends = await surviveEach('stages', { blow, when, scene, step: blow === 'kill' ? 1 : 2 })
        expect(Object.keys(ends), blow).toEqual(['written'])
      }
    }
  },
  LIMIT_MS,
)

it(
  'a call that is refused for good loses nothing of it, whether the backup fails or not',
  async () => {
    for (const when of ['before', 'after'] as const) {
      const ends = await surviveEach('stages', { blow: 'refused', when, scene, step: when === 'before' ? 1 : 2 })
      expect(Object.keys(ends).toSorted()).toEqual(['failed', 'written'])
    }
  },
  LIMIT_MS,
)

it(
  'a mover that dies or fails at any call of its audit is followed by another that finds the same',
  async () => {
    for (const blow of ['unreachable', 'kill'] as const)
      for (const when of ['before', 'after'] as const) {
        const ends = await surviveEach('mover', { blow, when, scene, step: 2 })
        expect(Object.keys(ends), blow).toEqual(['written'])
      }
  },
  LIMIT_MS,
)
