// The property collector's methods: one-shot retrieval with paging, filters, and waiting for updates.

import { SimFault } from '../../machine/types.ts'
import {
  type Data,
  data,
  dataAt,
  flagAt,
  listAt,
  optionalDataAt,
  optionalNumberAt,
  optionalTextAt,
  type Ref,
  textAt,
  type Value,
} from '../../soap/value.ts'
import { type Collected, collect, objectContent, refuseAll } from '../collect.ts'
import { invalidArgument, notAuthenticated, notFound } from '../faults.ts'
import { findObject } from '../find-object.ts'
import type { Call, Handler } from '../front.ts'
import { readPath } from '../managed-object.ts'
import { SINGLETONS } from '../objects/singletons.ts'
import type { Session } from '../sessions.ts'
import { type Collector, openCollector } from '../updates.ts'

/** Objects a page, when the caller names no number. */
const PAGE_OBJECTS_MAX = 1000
/** Unread pages a session may hold. */
const PAGES_MAX = 16
/** A wait without a limit is cut here, as servers keep the connection no longer. */
const WAIT_MS_MAX = 30 * 60_000

export const collectorMethods: Readonly<Record<string, Handler>> = {
  Fetch: fetchProperty,
  RetrieveProperties: (call) => retrieve(call),
  RetrievePropertiesEx: (call) => page(call, retrieve(call)),
  ContinueRetrievePropertiesEx: (call) => {
    const token = textAt(call.args, 'token')
    const rest = call.session?.pages.get(token)
    if (rest === undefined)
      throw new SimFault('InvalidProperty', `The token "${token}" is not valid`, { name: 'token' })
    call.session?.pages.delete(token)
    return page(call, rest)
  },
  CancelRetrievePropertiesEx: (call) => {
    const token = textAt(call.args, 'token')
    if (call.session?.pages.delete(token) !== true) throw invalidArgument('token')
    return null
  },
  CreatePropertyCollector: (call) => {
    const session = sessionOf(call)
    const own = { type: 'PropertyCollector', id: call.front.sessions.newId(session), kind: 'ref' } as const
    session.collectors.set(own.id, newCollector(call, { session, ref: own }))
    return own
  },
  DestroyPropertyCollector: (call) => {
    const session = sessionOf(call)
    const collector = collectorOf(call)
    collector.cancel()
    for (const filter of collector.filters()) session.objects.delete(filter.id)
    session.collectors.delete(collector.ref.id)
    return null
  },
  CreateFilter: createFilter,
  DestroyPropertyFilter: (call) => {
    const session = sessionOf(call)
    for (const collector of session.collectors.values()) collector.removeFilter(call.self.ref.id)
    session.objects.delete(call.self.ref.id)
    return null
  },
  CheckForUpdates: (call) => wait(call, 0),
  WaitForUpdates: (call) => wait(call, null),
  WaitForUpdatesEx: (call) => {
    const options = optionalDataAt(call.args, 'options')
    const seconds = options === null ? null : optionalNumberAt(options, 'maxWaitSeconds')
    return wait(call, seconds === null ? null : seconds * 1000)
  },
  CancelWaitForUpdates: (call) => {
    collectorOf(call).cancel()
    return null
  },
}

/** Not in the public reference: pyVmomi from 8.0 on reads single properties with it. */
function fetchProperty(call: Call): Value | null {
  const name = textAt(call.args, 'prop')
  if (call.session === null && !(call.self.ref.type === 'ServiceInstance' && name === 'content')) {
    throw notAuthenticated('System.View')
  }
  return readPath(call.self, name)
}

function retrieve(call: Call): readonly Data[] {
  const found = listAt(call.args, 'specSet').flatMap((spec): readonly Collected[] => {
    const isContent = listAt(spec, 'objectSet').every((start) => refIs(start, SINGLETONS.instance))
    if (call.session === null && !isContent) return refuseAll(spec, notAuthenticated('System.View'))
    return collect(spec, (ref) => findObject(call.front, ref, call.session))
  })
  return found.map(objectContent)
}

function refIs(start: Data, wanted: Ref): boolean {
  const object = start.fields['obj']
  return (
    typeof object === 'object' &&
    object !== null &&
    'kind' in object &&
    object.kind === 'ref' &&
    object.id === wanted.id
  )
}

/** RetrieveResult: a page, and a token while more is left. Null, and so no returnval, when there is nothing. */
function page(call: Call, objects: readonly Data[]): Data | null {
  if (objects.length === 0) return null
  const options = optionalDataAt(call.args, 'options')
  const most =
    (options === null ? null : optionalNumberAt(options, 'maxObjects')) ?? pageSizeOf(call) ?? PAGE_OBJECTS_MAX
  if (most <= 0) throw invalidArgument('options.maxObjects')
  const rest = objects.slice(most)
  const { session } = call
  if (rest.length === 0 || session === null) return data('RetrieveResult', { objects })
  const token = `${session.pages.size}-${call.front.sessions.newId(session).slice(-36)}-${most}`
  session.pages.set(token, rest)
  const oldest = [...session.pages.keys()][0]
  if (session.pages.size > PAGES_MAX && oldest !== undefined) session.pages.delete(oldest)
  return data('RetrieveResult', { token, objects: objects.slice(0, most) })
}

/** A following page is as large as the first: the token ends in its size. */
function pageSizeOf(call: Call): number | null {
  const token = optionalTextAt(call.args, 'token')
  return token === null ? null : Number(token.slice(token.lastIndexOf('-') + 1))
}

function createFilter(call: Call): Ref {
  const session = sessionOf(call)
  const spec = dataAt(call.args, 'spec')
  const own = { type: 'PropertyFilter', id: call.front.sessions.newId(session), kind: 'ref' } as const
  collectorOf(call).addFilter({ ref: own, spec })
  const partialUpdates = flagAt(call.args, 'partialUpdates')
  session.objects.set(own.id, { ref: own, properties: { spec: () => spec, partialUpdates: () => partialUpdates } })
  return own
}

async function wait(call: Call, waitMs: number | null): Promise<Data | null> {
  const collector = collectorOf(call)
  const version = optionalTextAt(call.args, 'version') ?? ''
  const updates = await collector.wait(version, {
    waitMs: Math.min(waitMs ?? WAIT_MS_MAX, WAIT_MS_MAX),
    signal: call.signal,
  })
  if (updates !== null || waitMs !== null) return updates
  // WaitForUpdates must give a value: an empty set, after the longest wait.
  return data('UpdateSet', { version: version === '' ? '0' : version })
}

function collectorOf(call: Call): Collector {
  const session = sessionOf(call)
  const known = session.collectors.get(call.self.ref.id)
  if (known !== undefined) return known
  if (call.self.ref.id !== SINGLETONS.collector.id) throw notFound(call.self.ref)
  const made = newCollector(call, { session, ref: SINGLETONS.collector })
  session.collectors.set(made.ref.id, made)
  return made
}

function newCollector({ front }: Call, { session, ref }: { readonly session: Session; readonly ref: Ref }): Collector {
  return openCollector(ref, { clock: front.clock, lookup: (object) => findObject(front, object, session) })
}

function sessionOf(call: Call): Session {
  if (call.session === null) throw notAuthenticated('System.View')
  return call.session
}
