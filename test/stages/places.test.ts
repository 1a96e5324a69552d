// Many holders with random wishes, on a store whose every call may be overtaken. The model is the sum of what was granted.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { emptyResource, type PlaceWish, type Resource, take, WAITERS_MAX } from '../../lib/model/places.ts'
import type { JobStore, Records } from '../../lib/ports/job-store.ts'
import { defaultStageLimits } from '../../lib/stages/deps.ts'
import { describeRefusal, givePlaceBack, type PlacesRequest, takeTogether } from '../../lib/stages/places.ts'

const cancel = { signal: new AbortController().signal }
const times = { nowMs: 1_000, placeMs: 100, waiterMs: 50 }

describe('a resource', () => {
  const claimant = (holder: string, units: number, sinceMs = 0) => ({ holder, units, unitsMax: 4, sinceMs })
  const filledBy = (...claimants: readonly ReturnType<typeof claimant>[]): Resource =>
    claimants.reduce((resource, each) => take(resource, each, times).next ?? resource, emptyResource('r'))

  it('gives what is left, and tells who holds the rest', () => {
    const resource = filledBy(claimant('a', 3))
    expect(take(resource, claimant('b', 1), times).refusal).toBeNull()
    expect(take(resource, claimant('b', 2), times).refusal).toEqual({ usedUnits: 3, holders: ['a'], ahead: [] })
  })

  it('counts no place and no waiter whose time has passed', () => {
    const resource = filledBy(claimant('a', 4, 1), claimant('b', 4, 2))
    const later = { ...times, nowMs: times.nowMs + 100 }
    const { next, refusal } = take(resource, claimant('c', 4, 3), later)
    expect(refusal).toBeNull()
    expect(next).toEqual({ name: 'r', places: [{ holder: 'c', units: 4, untilMs: later.nowMs + 100 }], waiters: [] })
  })

  it('lets nobody overtake the one that has waited longest, and no newcomer any older one', () => {
    const resource = filledBy(
      claimant('a', 3, 0),
      claimant('big', 4, 1),
      claimant('mid', 2, 2),
      claimant('young', 2, 3),
    )
    const freed = { ...resource, places: [] }
    expect(take(freed, claimant('young', 2, 3), times).refusal?.ahead).toEqual(['big', 'mid'])
    expect(take(freed, claimant('big', 4, 1), times).refusal).toBeNull()
    const withoutBig = { ...freed, waiters: freed.waiters.filter(({ holder }) => holder !== 'big') }
    expect(take(withoutBig, claimant('young', 2, 3), times).refusal).toBeNull()
    expect(take(withoutBig, claimant('new', 1, 9), times).refusal?.ahead).toEqual(['mid', 'young'])
  })

  it('renews what is held though others wait, and lets a holder that wants more wait without what it held', () => {
    const resource = filledBy(claimant('a', 2, 0), claimant('b', 2, 1), claimant('c', 4, 2))
    expect(take(resource, claimant('b', 2, 1), times).refusal).toBeNull()
    const { next, refusal } = take(resource, claimant('b', 3, 1), times)
    expect(refusal?.usedUnits).toBe(2)
    expect(next?.places.map(({ holder }) => holder)).toEqual(['a'])
  })

  it('counts a wish beyond the limit as the limit: limits may be lowered while jobs wait', () => {
    expect(take(emptyResource('r'), claimant('a', 9), times).next?.places[0]?.units).toBe(4)
  })

  it('keeps the oldest waiters when there are too many, and writes nothing for the others', () => {
    let resource = filledBy(claimant('holder', 4))
    for (let i = 0; i < WAITERS_MAX; i++)
      resource = take(resource, claimant(`w${i}`, 1, 10 + i), times).next ?? resource
    expect(take(resource, claimant('younger', 1, 999), times).next).toBeNull()
    const { next } = take(resource, claimant('older', 1, 5), times)
    expect(next?.waiters).toHaveLength(WAITERS_MAX)
    expect(next?.waiters[0]?.holder).toBe('older')
  })

  it('is not written again by a waiter that looks again soon', () => {
    const resource = filledBy(claimant('a', 4), claimant('b', 1))
    expect(take(resource, claimant('b', 1), times).next).toBeNull()
    expect(take(resource, claimant('b', 1), { ...times, nowMs: times.nowMs + 30 }).next).not.toBeNull()
  })
})

it('says which resource, its limit, who has it and who is in front', () => {
  const wish = { resource: 'nfc', what: '4 of the NFC connections of vCenter "vc"', units: 4, unitsMax: 52 }
  const holders = ['aaaaaaaa11', 'bbbbbbbb22', 'cccccccc33']
  expect(describeRefusal({ wish, usedUnits: 50, holders, ahead: ['dddddddd44'] })).toBe(
    '4 of the NFC connections of vCenter "vc": 50 of 52 are taken by job aaaaaaaa and 2 more, and job dddddddd waits longer',
  )
  expect(describeRefusal({ wish, usedUnits: 0, holders: [], ahead: ['dddddddd44', 'e'] })).toContain(
    'job dddddddd and 1 more wait longer',
  )
})

const LIMITS = { r0: 4, r1: 52, r2: 3, r3: 1 } as const
type Name = keyof typeof LIMITS

type Site = { readonly store: JobStore; readonly clock: ReturnType<typeof manualClock>; readonly random: Random }

function below(random: Random, count: number): number {
  return Math.floor(random.fraction() * count)
}

function newSite(seed: number): Site {
  const random = seededRandom(seed)
  const store = memoryJobStore()
  return { store: { ...store, resources: jumbled(store.resources, random) }, clock: manualClock(), random }
}

/** Calls that take some turns of the event loop, so that others come between. */
function jumbled<Id extends string, Value>(records: Records<Id, Value>, random: Random): Records<Id, Value> {
  const turns = async () => {
    for (let i = below(random, 4); i > 0; i--) await null
  }
  return {
    get: async (id, call) => turns().then(() => records.get(id, call)),
    create: async (id, value, call) => turns().then(() => records.create(id, value, call)),
    replace: async (id, next, call) => turns().then(() => records.replace(id, next, call)),
  }
}

function depsOf({ store, clock, random }: Site) {
  const limits = { placeMs: defaultStageLimits.placeMs, waiterMs: defaultStageLimits.waiterMs }
  return { jobStore: store, clock: { ...clock, sleep: async () => undefined }, random, limits }
}

async function usedOf({ store, clock }: Site, name: string): Promise<number> {
  const found = await store.resources.get(name, cancel)
  const live = (found?.value.places ?? []).filter(({ untilMs }) => untilMs > clock.nowMs())
  return live.reduce((sum, { units }) => sum + units, 0)
}

function wishesOf(random: Random): readonly PlaceWish[] {
  const names = (Object.keys(LIMITS) as Name[]).filter(() => random.fraction() < 0.6)
  return (names.length === 0 ? (['r1'] as const) : names).map((name) => {
    const unitsMax = LIMITS[name]
    const units = random.fraction() < 0.2 ? unitsMax : 1 + below(random, unitsMax)
    return { resource: name, what: name, units, unitsMax }
  })
}

type Actor = PlacesRequest & { state: 'waits' | 'holds' | 'gone'; leavesMs: number; keen: boolean }

/** One step of the world: everybody looks, in any order, side by side; then time goes on and some leave or die. */
async function step(site: Site, actors: Actor[], deaths: boolean): Promise<void> {
  const { random, clock } = site
  const deps = depsOf(site)
  const looking = actors.filter(({ state }) => state === 'waits').toSorted(() => random.fraction() - 0.5)
  await Promise.all(
    [...looking.filter(({ keen }) => keen), ...looking.filter(({ keen }) => !keen).slice(0, 6)].map(async (actor) => {
      if ((await takeTogether(actor, deps, cancel)) !== null) return
      actor.state = 'holds'
      actor.leavesMs = clock.nowMs() + 1_000 * (1 + below(random, 20))
    }),
  )
  for (const [name, unitsMax] of Object.entries(LIMITS)) {
    const used = await usedOf(site, name)
    if (used > unitsMax) expect.fail(`${used} of ${unitsMax} units of ${name} are taken`)
  }
  clock.advance(1_000)
  for (const actor of actors.filter(({ state, leavesMs }) => state === 'holds' && leavesMs <= clock.nowMs())) {
    actor.state = 'gone'
    // Some die without giving back: their places end by their time.
    if (deaths && random.fraction() < 0.1) continue
    for (const { resource } of actor.wishes) await givePlaceBack({ resource, holder: actor.holder }, deps, cancel)
  }
  if (!deaths) return
  for (const actor of actors) if (actor.state === 'waits' && random.fraction() < 0.01) actor.state = 'gone'
}

const newActor = (site: Site, number: number, wishes = wishesOf(site.random)): Actor => ({
  holder: `job-${number}`,
  sinceMs: site.clock.nowMs(),
  wishes,
  state: 'waits',
  leavesMs: 0,
  keen: false,
})

describe('takeTogether()', () => {
  it('keeps every limit, and everybody comes to an end, whoever dies and whatever they want', () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 }), async (seed) => {
        const site = newSite(seed)
        const actors: Actor[] = []
        for (let i = 0; i < 25; i++) {
          if (i % 2 === 0) actors.push(newActor(site, i), newActor(site, i + 1000))
          await step(site, actors, true)
        }
        // The dead hold for placeMs, which is 7,200 steps; then everybody gets through.
        site.clock.advance(defaultStageLimits.placeMs)
        for (let i = 0; i < 3_000 && actors.some(({ state }) => state !== 'gone'); i++) await step(site, actors, false)
        expect(actors.filter(({ state }) => state !== 'gone')).toEqual([])
        site.clock.advance(defaultStageLimits.placeMs)
        for (const name of Object.keys(LIMITS)) expect(await usedOf(site, name)).toBe(0)
      }),
      { numRuns: 25 },
    ))

  it('leaves nothing behind when nobody dies', () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 }), async (seed) => {
        const site = newSite(seed)
        const actors = Array.from({ length: 20 }, (_, i) => newActor(site, i))
        for (let i = 0; i < 2_000 && actors.some(({ state }) => state !== 'gone'); i++) await step(site, actors, false)
        expect(actors.filter(({ state }) => state !== 'gone')).toEqual([])
        for (const name of Object.keys(LIMITS)) {
          const found = await site.store.resources.get(name, cancel)
          expect(found?.value.places ?? []).toEqual([])
          expect(found?.value.waiters ?? []).toEqual([])
        }
      }),
      { numRuns: 25 },
    ))

  // There are always small newcomers enough to fill every gap: only its turn lets the big one through.
  it('lets no stream of small wishes starve one that wants all of every resource', () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 }), async (seed) => {
        const site = newSite(seed)
        const actors: Actor[] = []
        const all = (Object.keys(LIMITS) as Name[]).map((name) => {
          return { resource: name, what: name, units: LIMITS[name], unitsMax: LIMITS[name] }
        })
        let number = 0
        const small = () =>
          newActor(
            site,
            number++,
            all.filter(() => site.random.fraction() < 0.5).map((wish) => ({ ...wish, units: 1 })),
          )
        for (let i = 0; i < 10; i++) {
          actors.push(small(), small(), small())
          await step(site, actors, false)
        }
        const big = { ...newActor(site, 1_000_000, all), keen: true }
        actors.push(big)
        for (let i = 0; i < 600 && big.state === 'waits'; i++) {
          while (actors.filter(({ state }) => state === 'waits').length < 40) actors.push(small())
          await step(
            site,
            actors.filter(({ state }) => state !== 'gone'),
            false,
          )
        }
        expect(big.state).not.toBe('waits')
      }),
      { numRuns: 10 },
    ))
})
