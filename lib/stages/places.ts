// Places in shared resources: one record a resource, taken and given back by conditional writes, expiring by their time.

import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { VmId } from '../model/ids.ts'
import type { Job, Resource } from '../model/job.ts'
import type { StageDeps } from './deps.ts'

const WRITES_MAX = 20

/** The resource that makes sure that one job at a time works on a VM. */
export function vmResource(vm: VmId): string {
  return `vm/${vm}`
}

/** The resource that bounds how many jobs hold a snapshot, so that none waits for a mover with its snapshot open. */
export const moversResource = 'movers'

export type PlaceWish = {
  readonly resource: string
  readonly holder: string
  readonly units: number
  readonly unitsMax: number
}

/**
 * Takes or renews a place. Lapsed places of others are dropped.
 * @returns null when taken, else the holders that are in the way
 */
export async function takePlace(wish: PlaceWish, deps: StageDeps, cancel: Cancel): Promise<readonly string[] | null> {
  let inTheWay: readonly string[] | null = null
  await changeResource(
    {
      name: wish.resource,
      apply: (resource, nowMs) => {
        const others = resource.places.filter((place) => place.untilMs > nowMs && place.holder !== wish.holder)
        const used = others.reduce((sum, place) => sum + place.units, 0)
        inTheWay = used + wish.units > wish.unitsMax ? others.map((place) => place.holder) : null
        if (inTheWay !== null) return null
        const own = { holder: wish.holder, units: wish.units, untilMs: nowMs + deps.limits.placeMs }
        return { name: resource.name, places: [...others, own] }
      },
    },
    deps,
    cancel,
  )
  return inTheWay
}

/** Gives a place back; one that is not held is no error. */
export async function givePlaceBack(
  place: { readonly resource: string; readonly holder: string },
  deps: StageDeps,
  cancel: Cancel,
): Promise<void> {
  await changeResource(
    {
      name: place.resource,
      apply: (resource) => {
        const places = resource.places.filter((other) => other.holder !== place.holder)
        return places.length === resource.places.length ? null : { name: resource.name, places }
      },
    },
    deps,
    cancel,
  )
}

/** Lengthens every place that the job owes. A place that was lost meanwhile is not taken again here. */
export async function renewPlaces(job: Job, deps: StageDeps, cancel: Cancel): Promise<void> {
  for (const debt of job.owes) {
    if (debt.kind !== 'place') continue
    await changeResource(
      {
        name: debt.resource,
        apply: (resource, nowMs) => {
          const own = resource.places.find((place) => place.holder === job.id)
          if (own === undefined || own.untilMs - nowMs > deps.limits.placeMs / 2) return null
          const others = resource.places.filter((place) => place !== own)
          return { name: resource.name, places: [...others, { ...own, untilMs: nowMs + deps.limits.placeMs }] }
        },
      },
      deps,
      cancel,
    )
  }
}

type Change = { readonly name: string; readonly apply: (resource: Resource, nowMs: number) => Resource | null }

async function changeResource({ name, apply }: Change, deps: StageDeps, cancel: Cancel): Promise<void> {
  const { resources } = deps.jobStore
  for (let write = 1; write <= WRITES_MAX; write++) {
    const found = await resources.get(name, cancel)
    const next = apply(found?.value ?? { name, places: [] }, deps.clock.nowMs())
    if (next === null) return
    const answer =
      found === null
        ? await resources.create(name, next, cancel)
        : await resources.replace(name, { value: next, version: found.version }, cancel)
    if (answer === 'created' || answer === 'replaced') return
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
