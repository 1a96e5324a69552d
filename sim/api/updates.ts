// Property collectors: filters, what changed since a version, and waiting for a change. State is compared, not pushed.

import type { Clock } from '../../lib/base/clock.ts'
import { SimFault } from '../machine/types.ts'
import { encodeValue } from '../soap/encode.ts'
import { type Data, data, type Ref } from '../soap/value.ts'
import { type Collected, collect, type Lookup, missingSet } from './collect.ts'

export interface Collector {
  readonly ref: Ref
  /** @throws SimFault when the spec names unknown objects or properties */
  addFilter(filter: { readonly ref: Ref; readonly spec: Data }): void
  removeFilter(id: string): boolean
  filters(): readonly Ref[]
  /**
   * The changes since `version` ("" for everything), at once, or as soon as there are any.
   * @returns null when nothing changed within the wait, or when there is no filter and no wait
   * @throws SimFault InvalidCollectorVersion, RequestCanceled
   */
  wait(version: string, options: WaitOptions): Promise<Data | null>
  /** Ends the wait that is under way, and every later one of a collector that is gone. */
  cancel(): void
}

export type WaitOptions = {
  /** 0: at once; null: without end. */
  readonly waitMs: number | null
  readonly signal: AbortSignal
}

/** How often a waiting collector looks again. */
const LOOK_MS = 50

type Filter = { readonly ref: Ref; readonly spec: Data }
type Shown = ReadonlyMap<string, Collected>
type State = ReadonlyMap<string, Shown>

export function openCollector(ref: Ref, options: { readonly lookup: Lookup; readonly clock: Clock }): Collector {
  const { lookup, clock } = options
  const filters = new Map<string, Filter>()
  let waiting: AbortController | null = null
  let counter = 0
  // The last two answers: a caller whose answer was lost asks again with the version before.
  let answered: readonly { readonly version: string; readonly state: State }[] = [{ version: '', state: new Map() }]
  const look = (): State =>
    new Map(
      [...filters.values()].map(({ ref: { id }, spec }) => [
        id,
        new Map(
          collect({ ...spec, fields: { ...spec.fields, reportMissingObjectsInResults: true } }, lookup).map((one) => [
            one.ref.id,
            one,
          ]),
        ),
      ]),
    )
  const changesSince = (version: string): Data | null => {
    const known = answered.find((each) => each.version === version)
    if (known === undefined)
      throw new SimFault('InvalidCollectorVersion', `The collector version "${version}" is invalid`)
    const state = look()
    const filterSet = [...filters.values()].flatMap((filter) =>
      filterUpdate(filter, known.state.get(filter.ref.id) ?? new Map(), state.get(filter.ref.id) ?? new Map()),
    )
    if (filterSet.length === 0) return null
    const next = { version: String(++counter), state }
    const start = { version: '', state: new Map() }
    answered = version === '' ? [start, next] : [start, known, next]
    return data('UpdateSet', { version: next.version, filterSet, truncated: false })
  }
  const waitFor = async (version: string, { waitMs, signal }: WaitOptions) => {
    const until = waitMs === null ? Number.POSITIVE_INFINITY : clock.monotonicMs() + waitMs
    for (;;) {
      const changes = changesSince(version)
      if (changes !== null || clock.monotonicMs() >= until) return changes
      await clock.sleep(Math.min(LOOK_MS, until - clock.monotonicMs()), { signal })
    }
  }
  return {
    ref,
    addFilter: (filter) => {
      collect(filter.spec, lookup)
      filters.set(filter.ref.id, filter)
    },
    removeFilter: (id) => filters.delete(id),
    filters: () => [...filters.values()].map((filter) => filter.ref),
    cancel: () => waiting?.abort(),
    wait: async (version, { waitMs, signal }) => {
      waiting?.abort()
      const own = new AbortController()
      waiting = own
      try {
        return await waitFor(version, { waitMs, signal: AbortSignal.any([signal, own.signal]) })
      } catch (error) {
        if (own.signal.aborted) throw new SimFault('RequestCanceled', 'The request was canceled by a user.')
        throw error
      } finally {
        if (waiting === own) waiting = null
      }
    },
  }
}

function filterUpdate(filter: Filter, before: Shown, now: Shown): readonly Data[] {
  const entered = [...now.values()].map((one) => {
    const old = before.get(one.ref.id)
    return old === undefined ? entry(one) : modification(old, one)
  })
  const left = [...before.values()]
    .filter((old) => !now.has(old.ref.id))
    .map((old) => data('ObjectUpdate', { kind: 'leave', obj: old.ref }))
  const objectSet = [...entered.filter((update) => update !== null), ...left]
  return objectSet.length === 0 ? [] : [data('PropertyFilterUpdate', { filter: filter.ref, objectSet })]
}

function entry(one: Collected): Data {
  const changeSet = [...one.values].map(([name, val]) => data('PropertyChange', { name, op: 'assign', val }))
  return data('ObjectUpdate', { kind: 'enter', obj: one.ref, changeSet, missingSet: missingSet(one) })
}

function modification(old: Collected, now: Collected): Data | null {
  const assigned = [...now.values]
    .filter(([name, value]) => {
      const earlier = old.values.get(name)
      return earlier === undefined || asText(earlier) !== asText(value)
    })
    .map(([name, val]) => data('PropertyChange', { name, op: 'assign', val }))
  const unset = [...old.values.keys()]
    .filter((name) => !now.values.has(name))
    .map((name) => data('PropertyChange', { name, op: 'assign' }))
  const changeSet = [...assigned, ...unset]
  return changeSet.length === 0 ? null : data('ObjectUpdate', { kind: 'modify', obj: now.ref, changeSet })
}

function asText(value: NonNullable<ReturnType<Collected['values']['get']>>): string {
  return encodeValue('val', value, { type: 'anyType', reference: false, array: false })
}
