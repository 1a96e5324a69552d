// Places in shared resources, taken and given back by conditional writes of one record a resource. All that a job wants at once
// or nothing: nobody holds one thing while it waits for another.

import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { VmId } from '../model/ids.ts'
import type { Job } from '../model/job.ts'
import {
  type Claimant,
  emptyResource,
  giveBack,
  type PlaceWish,
  type Refusal,
  type Resource,
  renew,
  take,
} from '../model/places.ts'
import type { StageDeps } from './deps.ts'
import type { JobHold } from './hold.ts'

const WRITES_MAX = 20
/** The longest wait before a write that was overtaken this often is tried again, doubling from the first. */
const AGAIN_FIRST_MS = 5
const AGAIN_MOST_MS = 500

/** The resource that makes sure that one job at a time works on a VM. */
export function vmResource(vm: VmId): string {
  return `vm/${vm}`
}

/** The resource that bounds how many jobs hold a snapshot, so that none waits for a mover with its snapshot open. */
export const moversResource = 'movers'

/** Which wish was refused, and why. */
export type PlaceRefusal = Refusal & { readonly wish: PlaceWish }

type PlaceDeps = Pick<StageDeps, 'clock' | 'jobStore' | 'random'> & {
  readonly limits: Pick<StageDeps['limits'], 'placeMs' | 'waiterMs'>
}

/**
 * Takes or renews all of these places for the job, or none: at a refusal every one of them is given back, also one that was held
 * before. They are among the job's debts before they are taken. Its turn in the resources that it waits for it keeps.
 * @returns null when all are held
 */
export async function takePlaces(
  hold: JobHold,
  wishes: readonly PlaceWish[],
  deps: StageDeps,
  cancel: Cancel,
): Promise<PlaceRefusal | null> {
  const missing = wishes.filter(({ resource }) => !owesPlace(hold.job(), resource))
  if (missing.length > 0) {
    const debts = missing.map(({ resource }) => ({ kind: 'place' as const, resource }))
    await hold.update((job) => ({ ...job, owes: [...job.owes, ...debts] }), cancel)
  }
  const { id, times } = hold.job()
  return takeTogether({ holder: id, sinceMs: Date.parse(times.createdAt), wishes }, deps, cancel)
}

function owesPlace({ owes }: Job, resource: string): boolean {
  return owes.some((debt) => debt.kind === 'place' && debt.resource === resource)
}

export type PlacesRequest = {
  readonly holder: string
  /** Since when it waits; never changes. */
  readonly sinceMs: number
  /** No resource twice. */
  readonly wishes: readonly PlaceWish[]
}

/** The same for any holder, whose debts are the caller's matter. The order of taking is the same for everybody. */
export async function takeTogether(
  { holder, sinceMs, wishes }: PlacesRequest,
  deps: PlaceDeps,
  cancel: Cancel,
): Promise<PlaceRefusal | null> {
  const taken: { readonly claimant: Claimant; readonly name: string; readonly waited: boolean }[] = []
  for (const wish of wishes.toSorted((a, b) => (a.resource < b.resource ? -1 : 1))) {
    const claimant = { holder, sinceMs, units: wish.units, unitsMax: wish.unitsMax }
    const { refusal, waited } = await takeOne(wish.resource, claimant, { deps, cancel })
    if (refusal === null) {
      taken.push({ claimant, name: wish.resource, waited })
      continue
    }
    for (const one of taken) {
      const apply: Change['apply'] = (resource, nowMs) =>
        giveBack(resource, holder, one.waited ? { claimant: one.claimant, times: { ...deps.limits, nowMs } } : null)
      await changeResource({ name: one.name, apply }, deps, cancel)
    }
    return { ...refusal, wish }
  }
  return null
}

async function takeOne(
  name: string,
  claimant: Claimant,
  { deps, cancel }: { readonly deps: PlaceDeps; readonly cancel: Cancel },
): Promise<{ readonly refusal: Refusal | null; readonly waited: boolean }> {
  let answer: { readonly refusal: Refusal | null; readonly waited: boolean } = { refusal: null, waited: false }
  const apply: Change['apply'] = (resource, nowMs) => {
    const { next, refusal } = take(resource, claimant, { ...deps.limits, nowMs })
    answer = { refusal, waited: resource.waiters.some(({ holder }) => holder === claimant.holder) }
    return next
  }
  await changeResource({ name, apply }, deps, cancel)
  return answer
}

/** Gives a place back, and the turn of one that waits; one that is not held is no error. */
export async function givePlaceBack(
  place: { readonly resource: string; readonly holder: string },
  deps: PlaceDeps,
  cancel: Cancel,
): Promise<void> {
  const apply: Change['apply'] = (resource) => giveBack(resource, place.holder, null)
  await changeResource({ name: place.resource, apply }, deps, cancel)
}

/** Gives back every place that the job owes. */
export async function giveBackPlaces(hold: JobHold, deps: PlaceDeps, cancel: Cancel): Promise<void> {
  const { id, owes } = hold.job()
  const places = owes.filter((debt) => debt.kind === 'place')
  if (places.length === 0) return
  for (const { resource } of places) await givePlaceBack({ resource, holder: id }, deps, cancel)
  await hold.update((job) => ({ ...job, owes: job.owes.filter((debt) => debt.kind !== 'place') }), cancel)
}

/** Lengthens every place that the job owes. A place that was lost meanwhile is not taken again here. */
export async function renewPlaces(job: Job, deps: StageDeps, cancel: Cancel): Promise<void> {
  const { placeMs } = deps.limits
  for (const debt of job.owes) {
    if (debt.kind !== 'place') continue
    const apply: Change['apply'] = (resource, nowMs) => renew(resource, job.id, { nowMs, placeMs })
    await changeResource({ name: debt.resource, apply }, deps, cancel)
  }
}

/** What a job that was refused waits for: the resource, its limit, who has it, who is in front. */
export function describeRefusal({ wish, usedUnits, holders, ahead }: PlaceRefusal): string {
  const inFront = ahead.length === 0 ? '' : `, and ${jobsNamed(ahead)} ${ahead.length === 1 ? 'waits' : 'wait'} longer`
  if (holders.length === 0) return `${wish.what}: ${jobsNamed(ahead)} ${ahead.length === 1 ? 'waits' : 'wait'} longer`
  const { unitsMax } = wish
  return `${wish.what}: ${usedUnits} of ${unitsMax} are taken by ${jobsNamed(holders)}${inFront}`
}

/** How long a job that must wait sleeps: the first in line looks often, who stands further behind less and less. */
export function waitForPlaceMs(
  job: Pick<Job, 'round'>,
  { ahead }: { readonly ahead: number },
  { limits, random }: StageDeps,
): number {
  const behind = Math.min(1 + 2 * ahead, 2 ** Math.min(job.round, 5))
  return Math.round(limits.pollMs * behind * (0.75 + random.fraction() / 2))
}

function jobsNamed(ids: readonly string[]): string {
  const [first = '', ...others] = ids.map((id) => id.slice(0, 8))
  return others.length === 0 ? `job ${first}` : `job ${first} and ${others.length} more`
}

type Change = { readonly name: string; readonly apply: (resource: Resource, nowMs: number) => Resource | null }

async function changeResource({ name, apply }: Change, deps: PlaceDeps, cancel: Cancel): Promise<void> {
  const { resources } = deps.jobStore
  for (let write = 1; write <= WRITES_MAX; write++) {
    const found = await resources.get(name, cancel)
    const next = apply(found?.value ?? emptyResource(name), deps.clock.nowMs())
    if (next === null) return
    const answer =
      found === null
        ? await resources.create(name, next, cancel)
        : await resources.replace(name, { value: next, version: found.version }, cancel)
    if (answer === 'created' || answer === 'replaced') return
    const mostMs = Math.min(AGAIN_MOST_MS, AGAIN_FIRST_MS * 2 ** write)
    await deps.clock.sleep(mostMs * deps.random.fraction(), cancel)
  }
  throw new BackupError(
    `Cannot change the places of "${name}": ${WRITES_MAX} conditional writes were overtaken by others`,
    {
      code: 'places-contended',
      retry: 'later',
      facts: { resource: name },
    },
  )
}
