// Places in shared resources: who holds how much of one, who waits for it, and who may take of it next. Pure.
//
// Nobody starves: the one that has waited longest is overtaken by nobody, and every waiter becomes that one. Ages are of jobs and the
// same in every resource, so the oldest of all is the oldest wherever it waits: two jobs never wait for each other's turn.

export type Place = { readonly holder: string; readonly units: number; readonly untilMs: number }

export type Waiter = {
  readonly holder: string
  readonly units: number
  /** Since when it waits: its age, the same in all resources. */
  readonly sinceMs: number
  readonly untilMs: number
}

/** One record: places and waiters expire by their times, compared by whoever takes. */
export type Resource = {
  readonly name: string
  readonly places: readonly Place[]
  readonly waiters: readonly Waiter[]
}

/** A record must fit one item of a table. The oldest are kept; a younger one is kept when it looks again and there is room. */
export const WAITERS_MAX = 100

export type Claimant = {
  readonly holder: string
  /** More than unitsMax counts as unitsMax: limits may have been lowered since. */
  readonly units: number
  readonly unitsMax: number
  readonly sinceMs: number
}

export type TakeTimes = {
  readonly nowMs: number
  readonly placeMs: number
  readonly waiterMs: number
}

/** What is wanted of a resource. */
export type PlaceWish = {
  readonly resource: string
  /** What it is, for people, after "waits for": 'a free mover'. */
  readonly what: string
  readonly units: number
  readonly unitsMax: number
}

/** Why a place was not given. */
export type Refusal = {
  readonly usedUnits: number
  readonly holders: readonly string[]
  /** Who waits for longer, the longest first. */
  readonly ahead: readonly string[]
}

export type Taking = {
  /** The record to write; null when it may stay as it is. */
  readonly next: Resource | null
  readonly refusal: Refusal | null
}

export function emptyResource(name: string): Resource {
  return { name, places: [], waiters: [] }
}

/**
 * Takes or renews a place, or notes who waits. What has expired is dropped and counts for nothing. A newcomer takes only what all that
 * have waited longer leave; one that is known to wait, what the one that has waited longest leaves.
 */
export function take(resource: Resource, claimant: Claimant, times: TakeTimes): Taking {
  const { nowMs, placeMs } = times
  const { holder, unitsMax } = claimant
  const units = Math.min(claimant.units, unitsMax)
  const live = resource.places.filter((place) => place.untilMs > nowMs)
  const own = live.find((place) => place.holder === holder)
  const others = live.filter((place) => place !== own)
  const waiters = resource.waiters.filter((waiter) => waiter.untilMs > nowMs).toSorted(olderFirst)
  const known = waiters.find((waiter) => waiter.holder === holder)
  const older = waiters.filter((waiter) => waiter.holder !== holder && olderFirst(waiter, claimant) < 0)
  const usedUnits = sumOf(others)
  const yieldTo = own === undefined ? (known === undefined ? older : older.slice(0, 1)) : []
  const yieldUnits = sumOf(yieldTo.map((waiter) => ({ units: Math.min(waiter.units, unitsMax) })))
  const renews = own !== undefined && own.units >= units
  if (renews || usedUnits + units + yieldUnits <= unitsMax) {
    const place = { holder, units, untilMs: nowMs + placeMs }
    return { next: { ...resource, places: [...others, place], waiters: without(waiters, holder) }, refusal: null }
  }
  const refusal = {
    usedUnits,
    holders: others.map((place) => place.holder),
    ahead: older.map((waiter) => waiter.holder),
  }
  return { next: noted({ ...resource, places: others, waiters }, { claimant, known, own, times }), refusal }
}

/** Gives a place back. @param waits the claimant when it goes on waiting for it, by which it keeps its turn */
export function giveBack(
  resource: Resource,
  holder: string,
  waits: { readonly claimant: Claimant; readonly times: TakeTimes } | null,
): Resource | null {
  const places = resource.places.filter((place) => place.holder !== holder)
  const waiters = without(resource.waiters, holder)
  if (waits !== null)
    return { ...resource, places, waiters: withWaiter(waiters, waiterOf(waits.claimant, waits.times)) }
  if (places.length === resource.places.length && waiters.length === resource.waiters.length) return null
  return { ...resource, places, waiters }
}

/** Lengthens a place of which less than half its time is left; null when there is nothing to write. */
export function renew(
  resource: Resource,
  holder: string,
  { nowMs, placeMs }: Omit<TakeTimes, 'waiterMs'>,
): Resource | null {
  const own = resource.places.find((place) => place.holder === holder)
  if (own === undefined || own.untilMs - nowMs > placeMs / 2) return null
  const others = resource.places.filter((place) => place !== own)
  return { ...resource, places: [...others, { ...own, untilMs: nowMs + placeMs }] }
}

/** The record of one that is refused: it waits and holds nothing. Null when it says so already, for long enough. */
function noted(
  resource: Resource,
  {
    claimant,
    known,
    own,
    times,
  }: {
    readonly claimant: Claimant
    readonly known: Waiter | undefined
    readonly own: Place | undefined
    readonly times: TakeTimes
  },
): Resource | null {
  const fresh = known !== undefined && known.units === claimant.units && known.sinceMs === claimant.sinceMs
  if (fresh && own === undefined && known.untilMs - times.nowMs > times.waiterMs / 2) return null
  const waiters = withWaiter(without(resource.waiters, claimant.holder), waiterOf(claimant, times))
  const kept = waiters.some((waiter) => waiter.holder === claimant.holder)
  return kept || own !== undefined ? { ...resource, waiters } : null
}

function waiterOf({ holder, units, sinceMs }: Claimant, { nowMs, waiterMs }: TakeTimes): Waiter {
  return { holder, units, sinceMs, untilMs: nowMs + waiterMs }
}

function withWaiter(waiters: readonly Waiter[], waiter: Waiter): readonly Waiter[] {
  return [...waiters, waiter].toSorted(olderFirst).slice(0, WAITERS_MAX)
}

function without(waiters: readonly Waiter[], holder: string): readonly Waiter[] {
  return waiters.filter((waiter) => waiter.holder !== holder)
}

type Aged = { readonly holder: string; readonly sinceMs: number }

/** A total order: of one age, by name. */
function olderFirst(left: Aged, right: Aged): number {
  if (left.sinceMs !== right.sinceMs) return left.sinceMs - right.sinceMs
  return left.holder < right.holder ? -1 : left.holder > right.holder ? 1 : 0
}

function sumOf(list: readonly { readonly units: number }[]): number {
  return list.reduce((sum, { units }) => sum + units, 0)
}
