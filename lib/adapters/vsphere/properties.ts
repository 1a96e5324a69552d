// The property collector: objects and their properties, page by page, with what it could not tell judged by its fault.

import type { Cancel } from '../../base/time-limit.ts'
import { faultError, localizedFault } from './faults.ts'
import type { VimSession } from './session.ts'
import {
  isRecord,
  isRef,
  needed,
  type Ref,
  record,
  recordsAt,
  refAt,
  replyMalformed,
  textAt,
  typed,
  type VimRecord,
  type VimValue,
} from './values.ts'

/** An object with the properties it has of those that were asked for: an unset property is not in the map. */
export type Found = { readonly ref: Ref; readonly values: ReadonlyMap<string, VimValue> }

/** Type name -> property paths. */
export type Wanted = Readonly<Record<string, readonly string[]>>

const PAGE_OBJECTS = 500
const PAGES_MAX = 10_000
const OBJECTS_A_CALL = 200

/**
 * All objects of the wanted types at and below the root folder.
 * @throws BackupError `vcenter-permission` when a property is refused; an object that vanished meanwhile is left out
 */
export function listInventory(
  session: VimSession,
  { wanted, what }: { readonly wanted: Wanted; readonly what: string },
  cancel: Cancel,
): Promise<readonly Found[]> {
  return session.loggedIn(async () => {
    const { rootFolder, viewManager } = session.content
    const args = { container: rootFolder, type: Object.keys(wanted), recursive: true }
    const view = await session.call({ method: 'CreateContainerView', target: viewManager, args, what }, cancel)
    if (view === null || !isRef(view)) throw replyMalformed('it has no container view')
    try {
      const members = typed('TraversalSpec', { name: 'members', type: 'ContainerView', path: 'view', skip: false })
      const object = record({ obj: view, skip: true, selectSet: [members] })
      return await retrieve(session, { wanted, objects: [object], what }, cancel)
    } finally {
      // A view that stays ends with its session.
      await session.call({ method: 'DestroyView', target: view, what }, cancel).catch(() => undefined)
    }
  }, cancel)
}

/** @throws BackupError `vcenter-object-gone` when the object does not exist, `vcenter-permission` */
export async function readObject(
  session: VimSession,
  { ref, paths, what }: { readonly ref: Ref; readonly paths: readonly string[]; readonly what: string },
  cancel: Cancel,
): Promise<ReadonlyMap<string, VimValue>> {
  const [found] = await readObjects(session, { refs: [ref], wanted: { [ref.type]: paths }, what }, cancel)
  return needed(found ?? null, `properties of ${ref.type} "${ref.value}"`).values
}

/** Properties of many objects, a few hundred a call; one that does not exist fails its whole call. */
export async function readObjects(
  session: VimSession,
  { refs, wanted, what }: { readonly refs: readonly Ref[]; readonly wanted: Wanted; readonly what: string },
  cancel: Cancel,
): Promise<readonly Found[]> {
  const found: Found[] = []
  for (let start = 0; start < refs.length; start += OBJECTS_A_CALL) {
    const objects = refs.slice(start, start + OBJECTS_A_CALL).map((obj) => record({ obj, skip: false }))
    found.push(...(await session.loggedIn(() => retrieve(session, { wanted, objects, what }, cancel), cancel)))
  }
  return found
}

async function retrieve(
  session: VimSession,
  asked: { readonly wanted: Wanted; readonly objects: readonly VimRecord[]; readonly what: string },
  cancel: Cancel,
): Promise<readonly Found[]> {
  const { what } = asked
  const target = session.content.propertyCollector
  const propSet = Object.entries(asked.wanted).map(([type, pathSet]) => record({ type, all: false, pathSet }))
  const specSet = [record({ propSet, objectSet: asked.objects })]
  const options = record({ maxObjects: PAGE_OBJECTS })
  const found: Found[] = []
  let page = await session.call({ method: 'RetrievePropertiesEx', target, args: { specSet, options }, what }, cancel)
  for (let pages = 1; page !== null; pages++) {
    if (!isRecord(page)) throw replyMalformed('a page of properties is no data object')
    for (const content of recordsAt(page, 'objects')) {
      const object = readContent(content, what)
      if (object !== null) found.push(object)
    }
    const token = textAt(page, 'token')
    if (token === null || token === '') return found
    if (pages >= PAGES_MAX) throw replyMalformed(`a listing did not end after ${PAGES_MAX} pages`)
    page = await session.call({ method: 'ContinueRetrievePropertiesEx', target, args: { token }, what }, cancel)
  }
  return found
}

/** @returns null for an object that was deleted while it was read */
function readContent(content: VimRecord, what: string): Found | null {
  const ref = needed(refAt(content, 'obj'), 'object')
  for (const missing of recordsAt(content, 'missingSet')) {
    const fault = localizedFault(missing.fields.get('fault') === undefined ? null : recordOf(missing, 'fault'))
    if (fault.name === 'ManagedObjectNotFound') return null
    const path = textAt(missing, 'path') ?? '?'
    throw faultError(fault, {
      what: `${what}: cannot read "${path}" of ${ref.type} "${ref.value}"`,
      method: 'RetrievePropertiesEx',
    })
  }
  const values = new Map<string, VimValue>()
  for (const property of recordsAt(content, 'propSet')) {
    const value = property.fields.get('val')
    if (value !== undefined) values.set(needed(textAt(property, 'name'), 'property name'), value)
  }
  return { ref, values }
}

function recordOf(from: VimRecord, name: string): VimRecord | null {
  const value = from.fields.get(name)
  return isRecord(value) ? value : null
}
