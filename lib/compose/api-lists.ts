// Lists of the HTTP API: a page by a cursor, which holds the place of its last item, so that what is added meanwhile moves nothing.

import { ascending } from '../base/text.ts'
import type { Page } from '../ports/job-store.ts'
import { encodeCursor, type Place, parseCursor } from '../wire/api/cursor.ts'
import type { ApiAnswer } from './api-call.ts'

/** Of a page when none is asked for. */
export const LIMIT = 50

type Query = { readonly limit?: number; readonly cursor?: string }

/** One more is read than is given, to know whether there is more. */
export async function listPage<Item>(
  query: Query,
  read: (page: Page) => Promise<readonly Item[]>,
): Promise<readonly Item[]> {
  const limit = limitOf(query) + 1
  return read(query.cursor === undefined ? { limit } : { limit, after: parseCursor(query.cursor) })
}

type Shown<Item> = {
  /** Documents of the same items in the same order. */
  readonly items: readonly object[]
  readonly query: Query
  readonly placeOf: (item: Item) => Place
}

export function pageOf<Item>(list: readonly Item[], { items, query, placeOf }: Shown<Item>): ApiAnswer {
  const limit = limitOf(query)
  const last = list[limit - 1]
  const next = list.length > limit && last !== undefined ? encodeCursor(placeOf(last)) : null
  return { body: { items: items.slice(0, limit), next } }
}

/** A page of what was read whole, in the order of all lists. */
export function pageOfAll<Item>(
  all: readonly Item[],
  { page, placeOf }: { readonly page: Page; readonly placeOf: (item: Item) => Place },
): readonly Item[] {
  const { after, limit } = page
  const isAfter = ({ at, id }: Place) => after === undefined || at < after.at || (at === after.at && id < after.id)
  return all
    .map((item) => ({ item, place: placeOf(item) }))
    .filter(({ place }) => isAfter(place))
    .toSorted((a, b) => ascending(b.place.at, a.place.at) || ascending(b.place.id, a.place.id))
    .slice(0, limit)
    .map(({ item }) => item)
}

function limitOf({ limit }: Query): number {
  return limit ?? LIMIT
}
