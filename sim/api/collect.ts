// What property filter specs select: objects reached by traversal, and of each the wanted properties.

import { SimFault } from '../machine/types.ts'
import { isDerived } from '../soap/schema.ts'
import {
  type Data,
  data,
  flagAt,
  isList,
  isRef,
  listAt,
  optionalFlagAt,
  optionalTextAt,
  type Ref,
  refAt,
  type Typed,
  textAt,
  textsAt,
} from '../soap/value.ts'
import { faultWithMessage } from './faults.ts'
import { type ManagedObject, readPath, setProperties } from './managed-object.ts'

export type Lookup = (ref: Ref) => ManagedObject | null

/** An object with what was asked of it. */
export type Collected = {
  readonly ref: Ref
  readonly values: ReadonlyMap<string, Typed>
  readonly faults: ReadonlyMap<string, SimFault>
}

/**
 * Evaluates one filter spec.
 * @throws SimFault ManagedObjectNotFound for a start that does not exist, InvalidProperty for a path that is not declared
 */
export function collect(spec: Data, lookup: Lookup): readonly Collected[] {
  const wanted = listAt(spec, 'propSet')
  const selected = new Map<string, ManagedObject>()
  for (const start of listAt(spec, 'objectSet')) selectFrom(start, { lookup, selected, spec })
  return [...selected.values()]
    .map((object) => ({ object, specs: wanted.filter((each) => isDerived(object.ref.type, textAt(each, 'type'))) }))
    .filter(({ specs }) => specs.length > 0)
    .map(({ object, specs }) => readAll(object, specs))
}

/** The objects that RetrieveProperties and its relatives answer with. */
export function objectContent(collected: Collected): Data {
  return data('ObjectContent', {
    obj: collected.ref,
    propSet: [...collected.values].map(([name, val]) => data('DynamicProperty', { name, val })),
    missingSet: missingSet(collected),
  })
}

export function missingSet(collected: Collected): readonly Data[] {
  return [...collected.faults].map(([path, fault]) => data('MissingProperty', { path, fault: faultWithMessage(fault) }))
}

/** What an anonymous caller gets for the objects a spec starts from: each path is missing. */
export function refuseAll(spec: Data, fault: SimFault): readonly Collected[] {
  const starts = listAt(spec, 'objectSet').map((start) => refAt(start, 'obj'))
  const paths = listAt(spec, 'propSet').flatMap((each) => textsAt(each, 'pathSet'))
  return starts.map((ref) => ({
    ref,
    values: new Map(),
    faults: new Map((paths.length > 0 ? paths : ['']).map((path) => [path, fault])),
  }))
}

type Selection = {
  readonly lookup: Lookup
  readonly selected: Map<string, ManagedObject>
  readonly spec: Data
}

function selectFrom(start: Data, selection: Selection): void {
  const ref = refAt(start, 'obj')
  const object = selection.lookup(ref)
  if (object === null) {
    if (flagAt(selection.spec, 'reportMissingObjectsInResults')) return
    throw new SimFault(
      'ManagedObjectNotFound',
      `The object '${ref.type}:${ref.id}' has already been deleted or has not been completely created`,
      { obj: ref.id, referenceType: ref.type },
    )
  }
  const named = new Map<string, Data>()
  nameSpecs(listAt(start, 'selectSet'), named)
  if (!flagAt(start, 'skip')) selection.selected.set(object.ref.id, object)
  walk(object, listAt(start, 'selectSet'), { ...selection, named, visited: new Set() })
}

type Walk = Selection & { readonly named: ReadonlyMap<string, Data>; readonly visited: Set<string> }

function walk(object: ManagedObject, specs: readonly Data[], state: Walk): void {
  for (const each of specs) {
    const spec = each.type === 'TraversalSpec' ? each : state.named.get(optionalTextAt(each, 'name') ?? '')
    if (spec === undefined) {
      const name = optionalTextAt(each, 'name') ?? ''
      throw new SimFault('InvalidArgument', `A specified parameter was not correct: no selection "${name}"`, {
        invalidProperty: 'selectSet',
      })
    }
    if (!isDerived(object.ref.type, textAt(spec, 'type'))) continue
    // The same object by the same step leads to the same objects: this ends cycles such as parent and child.
    const mark = `${object.ref.id} ${textAt(spec, 'type')} ${textAt(spec, 'path')} ${optionalTextAt(spec, 'name') ?? ''}`
    if (state.visited.has(mark)) continue
    state.visited.add(mark)
    for (const ref of refsOf(readPath(object, textAt(spec, 'path')))) {
      const next = state.lookup(ref)
      if (next === null) continue
      if (optionalFlagAt(spec, 'skip') !== true) state.selected.set(ref.id, next)
      walk(next, listAt(spec, 'selectSet'), state)
    }
  }
}

function nameSpecs(specs: readonly Data[], named: Map<string, Data>): void {
  for (const spec of specs.filter(({ type }) => type === 'TraversalSpec')) {
    const name = optionalTextAt(spec, 'name')
    if (name !== null && name !== '') named.set(name, spec)
    nameSpecs(listAt(spec, 'selectSet'), named)
  }
}

function refsOf(value: Typed | null): readonly Ref[] {
  if (value === null) return []
  if (isRef(value.value)) return [value.value]
  return isList(value.value) ? value.value.filter((item) => isRef(item)) : []
}

function readAll(object: ManagedObject, specs: readonly Data[]): Collected {
  const paths = new Set(
    specs.flatMap((spec) => (flagAt(spec, 'all') ? setProperties(object) : textsAt(spec, 'pathSet'))),
  )
  const values = new Map<string, Typed>()
  const faults = new Map<string, SimFault>()
  for (const path of paths) {
    try {
      const value = readPath(object, path)
      if (value !== null) values.set(path, value)
    } catch (error) {
      if (!(error instanceof SimFault) || error.fault === 'InvalidProperty') throw error
      faults.set(path, error)
    }
  }
  return { ref: object.ref, values, faults }
}
